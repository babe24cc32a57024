"""Runs whose process died, and what only one of files and mlflow has."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.registered import folder_of, identity_of

from convzoo.processes import process_name
from convzoo.tracking import runs, store
from convzoo.tracking.live import LiveRun
from convzoo.tracking.registry import register
from convzoo.tracking.sync import orphans, sync

TRAINING = """
import time
from helpers.registered import identity_of
from convzoo.tracking.live import LiveRun
run = LiveRun({network!r}, identity_of({seed}), {{}})
run.log(1, {{"train_loss": 2.0}})
time.sleep(600)
"""


def runs_of(network: str, seed: int) -> list:
    client = store.open_store()
    return runs.runs_of(client, runs.experiment_of(client, network), identity_of(seed)["fingerprint"])


def killed(network: str, seed: int) -> None:
    """A training that told its first epoch and was killed then."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    script = TRAINING.format(network=network, seed=seed)
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    try:
        while not any("train_loss" in run.data.metrics for run in runs_of(network, seed)):
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_run_that_died_is_marked_by_the_next_training_of_its_network():
    killed("died", 1)
    (run,) = runs_of("died", 1)
    assert run.info.status == "RUNNING", "nobody could tell mlflow"
    LiveRun("died", identity_of(2), {}).close()
    (run,) = runs_of("died", 1)
    assert run.info.status == "KILLED"


def test_a_run_that_died_and_goes_on_is_the_same_one():
    killed("goes on", 1)
    (before,) = runs_of("goes on", 1)
    with LiveRun("goes on", identity_of(1), {}) as run:
        run.log(2, {"train_loss": 1.0})
    (after,) = runs_of("goes on", 1)
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "FINISHED"
    assert after.data.metrics["train_loss"] == 1.0


def test_a_run_that_lives_is_left_alone_here_and_elsewhere():
    client = store.open_store()
    experiment = runs.experiment_of(client, "alive")
    here = client.create_run(experiment, tags={runs.PROCESS: process_name()})
    elsewhere = client.create_run(experiment, tags={runs.PROCESS: "another-machine 1 1.00"})
    gone = client.create_run(experiment, tags={runs.PROCESS: process_name()[:-1] + "x"})
    assert [run.info.run_id for run in runs.mark_dead_runs(client, experiment)] == [gone.info.run_id]
    for run in (here, elsewhere):
        assert client.get_run(run.info.run_id).info.status == "RUNNING"


@pytest.fixture
def network(request, write_network):
    """A registered network of a name that no other test has."""
    name = request.node.name.partition("[")[0][5:]
    write_network(name, 40 + len(name))
    register(name)
    return name


def told_of(network: str, known: set[str] = frozenset()) -> list[str]:
    return [line for line in orphans({network, *known}) if network in line]


def test_a_network_with_all_on_both_sides_is_no_orphan(network):
    assert told_of(network) == []


def test_files_and_versions_of_a_network_that_params_lost_are_told(network):
    told = [line for line in orphans(set()) if network in line]
    assert told == [
        f"models/{network}: params.yaml has no network {network}; restore its block, or remove the folder",
        f"registered model {network}: params.yaml has no such network; its versions stay as they are",
    ]


def test_a_version_whose_file_is_lost_is_told_until_sync_registers_it_anew(network):
    client = store.use_store()
    (version,) = client.search_model_versions(f"name = '{network}'")
    location = client.get_logged_model(version.source.removeprefix("models:/")).artifact_location
    shutil.rmtree(folder_of(location))
    told = f"{network} version 1: its file is not in the store; if models/{network} has it, sync registers it again"
    assert told_of(network) == [told]
    assert sync([network]) == [f"{network}: version 2 registered, alias candidate moved here from version 1"]


def test_a_version_whose_run_was_deleted_is_told(network):
    client = store.use_store()
    (version,) = client.search_model_versions(f"name = '{network}'")
    client.delete_run(version.run_id)
    (told,) = told_of(network)
    assert told.startswith(f"{network} version 1: its run {version.run_id} is deleted")


def test_artifacts_of_no_run_are_told(network):
    left = Path(os.environ.get("DVC_ROOT", ".")).resolve() / "mlruns/artifacts" / network / ("0" * 32)
    left.mkdir()
    assert told_of(network) == [f"{left}: belongs to no run of convzoo/{network}; it can be removed"]


def test_a_run_that_died_is_told_and_marked(network):
    killed(network, 1)
    (told,) = told_of(network)
    assert "its process died; now marked as KILLED" in told
    assert told_of(network) == []


def test_without_tracking_no_store_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    assert orphans({"net"}) == []
    assert not (tmp_path / "none.db").exists()


def test_a_store_that_fails_while_it_is_looked_through_is_an_error_with_what_to_do(network, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(runs, "mark_dead_runs", fail)
    with pytest.raises(store.TrackingError, match=r"cannot be searched \(OSError: No space .* convzoo sync"):
        orphans({network})
