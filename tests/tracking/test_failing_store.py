"""A tracking store that fails: training ends with its files, one warning says so, and sync brings everything in."""

import errno
import runpy
import shutil
import sys
import threading
from pathlib import Path

import pytest
import torch
from helpers.failing_stores import WAIT, Down, Full, Locked
from helpers.project import ROOT
from helpers.small.classifier import small_project, small_settings
from helpers.small.family import COMPUTE
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from sqlalchemy import Engine, event
from typer.testing import CliRunner

from convzoo.checks.code import code_file, stage_code
from convzoo.cli import app
from convzoo.families.classifier import train as classifier
from convzoo.files import read_json, write_json
from convzoo.tracking import runs, store
from convzoo.tracking.live import LiveRun
from convzoo.tracking.registry import register
from convzoo.tracking.sync import sync

NETWORK = "mnist-classifier"
FOLDER = Path("models", NETWORK)


@pytest.fixture
def network(clone, tmp_path, monkeypatch, write_network):
    """A project that can train, with what export and evaluation would make, and a database that is there."""
    store.open_store()
    shutil.copytree(clone / "mlruns", tmp_path / "mlruns", ignore=shutil.ignore_patterns("artifacts"))
    monkeypatch.chdir(small_project(tmp_path))
    Path("src/convzoo").mkdir(parents=True)  # by which a project is found
    write_network(NETWORK, 1)
    for made in ("architecture.json", "fingerprint.json", "history.csv"):
        (FOLDER / made).unlink()
    store.open_store()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("moment", ["before", "during", "after"])
@pytest.mark.parametrize("kind", [Down, Locked, Full])
def test_a_store_that_fails_costs_a_warning_and_sync_brings_everything_in(
    network, monkeypatch, request, capfd, kind, moment
):
    failing = kind(monkeypatch)
    request.addfinalizer(failing.close)
    arrived = threading.Event()
    add_metrics, log = runs.add_metrics, LiveRun.log

    def add(client, run_id, rows):
        add_metrics(client, run_id, rows)
        if 1 in rows and "train_loss" in rows[1]:
            arrived.set()

    def log_and_fail(run, epoch, metrics):
        log(run, epoch, metrics)
        if epoch == 1:
            assert arrived.wait(60)
            failing.fail()

    monkeypatch.setattr(runs, "add_metrics", add)
    if moment == "during":
        monkeypatch.setattr(LiveRun, "log", log_and_fail)
    if moment == "before":
        failing.fail()
    classifier.train(NETWORK, small_settings(), COMPUTE, "test")
    warning = capfd.readouterr().err
    if moment == "after":
        assert "warning" not in warning
        failing.fail()
    else:
        assert warning.startswith(f"warning: {NETWORK}: tracking stopped (") and warning.count("\n") == 1
        assert kind.reason in warning and "convzoo sync" in warning
    assert {file.name for file in FOLDER.iterdir()} >= {"weights.safetensors", "history.csv", "fingerprint.json"}
    assert not list(Path(".checkpoints").iterdir())

    monkeypatch.setattr(sys, "argv", ["register.py", NETWORK])
    write_json(code_file("register", "classifier"), stage_code("register", "classifier"))
    runpy.run_path(str(ROOT / "pipeline/register.py"), run_name="__main__")
    told, noise = capfd.readouterr()
    assert told.startswith(f"warning: {NETWORK}: not registered (") and told.count("\n") == 1 and noise == ""
    assert kind.reason in told and "run: convzoo sync" in told and "the pipeline continues" in told
    fingerprint = read_json(FOLDER / "fingerprint.json")["fingerprint"]
    assert read_json(FOLDER / "registration.json")["fingerprint"] == fingerprint

    done = CliRunner().invoke(app, ["sync", NETWORK])
    assert done.exit_code == 1 and done.stderr.startswith(f"error: {NETWORK}: not registered (")

    failing.restore()
    assert sync([NETWORK]) == [f"{NETWORK}: version 1 registered, alias candidate"]
    client = store.open_store()
    (run,) = runs.runs_of(client, runs.experiment_of(client, NETWORK), fingerprint)
    assert run.info.status == "FINISHED"
    assert ("convzoo.backfilled" in run.data.tags) == (moment == "before")
    for metric in ("train_loss", "val_accuracy"):
        assert sorted(row.step for row in client.get_metric_history(run.info.run_id, metric)) == [1, 2, 3]


@pytest.mark.parametrize("what", ["log_artifact", "log_artifacts"])
def test_artifacts_that_find_the_disk_full_are_brought_in_afterwards(network, monkeypatch, write_network, what):
    write_network(NETWORK, 1)

    def full(*_, **__) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(LocalArtifactRepository, what, full)
        told = register(NETWORK, warn=True)
    assert told.startswith(f"warning: {NETWORK}: not registered (") and "No space left on device" in told
    assert sync([NETWORK]) == [f"{NETWORK}: version 1 registered, alias candidate"]
    assert sync([NETWORK]) == [f"{NETWORK}: already registered as version 1, alias candidate"]


def test_a_database_of_the_users_own_that_is_locked_is_a_warning_too(
    network, monkeypatch, request, tmp_path, write_network
):
    write_network(NETWORK, 1)
    shutil.copy("mlruns/mlflow.db", tmp_path / "own.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/own.db")

    def impatient(dialect, record, arguments, options):
        options["timeout"] = WAIT

    event.listen(Engine, "do_connect", impatient)
    request.addfinalizer(lambda: event.remove(Engine, "do_connect", impatient))
    failing = Locked(monkeypatch, "own.db")
    request.addfinalizer(failing.close)
    failing.fail()
    told = register(NETWORK, warn=True)
    assert told.startswith(f"warning: {NETWORK}: not registered (") and "database is locked" in told
    failing.restore()
    assert sync([NETWORK]) == [f"{NETWORK}: version 1 registered, alias candidate"]
