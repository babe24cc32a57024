"""Several processes that track trainings and register models in one store at once, from the moment it is created."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.killing import until
from helpers.project import ROOT, environment, query
from helpers.registered import candidate_of, runs_of, versions_of

from convzoo.files import sha256_of
from convzoo.tracking import store

PROCESSES = 5
EPOCHS = 20
WORK = f"""
import sys, time
from pathlib import Path
from helpers.registered import identity_of
from convzoo.tracking.live import LiveRun
from convzoo.tracking.registry import register
network, seed = sys.argv[1], int(sys.argv[2])
Path(f"{{network}}.ready").touch()
while not Path("go").exists():
    time.sleep(0.001)
with LiveRun(network, identity_of(seed), {{"convzoo.profile": "test"}}) as run:
    for epoch in range(1, {EPOCHS} + 1):
        run.log(epoch, {{"train_loss": 1 / epoch, "learning_rate": 0.1}})
print(register(network))
"""


@pytest.fixture
def new_clone(project, tmp_path, monkeypatch):
    """A project's folder without a database."""
    folder = shutil.copytree(project, tmp_path / "clone", ignore=shutil.ignore_patterns("mlruns", "models"))
    monkeypatch.chdir(folder)
    return folder


def test_each_run_and_each_version_is_whole(new_clone, write_network):
    networks = [f"net-{number}" for number in range(PROCESSES)]
    for number, network in enumerate(networks):
        write_network(network, number)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, network, str(number)],
            env=environment(PYTHONPATH=f"{ROOT / 'src'}:{ROOT / 'tests'}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number, network in enumerate(networks)
    ]
    until(lambda: all(Path(f"{network}.ready").exists() for network in networks))
    Path("go").touch()
    printed = [process.communicate(timeout=500)[0] for process in processes]
    assert printed == [f"{network}: version 1 registered, alias candidate\n" for network in networks]
    for network in networks:
        (run,), (version,) = runs_of(network), versions_of(network)
        assert (run.info.status, version.run_id, candidate_of(network)) == (
            "FINISHED",
            run.info.run_id,
            version.version,
        )
        losses = store.open_store().get_metric_history(run.info.run_id, "train_loss")
        assert sorted(metric.step for metric in losses) == list(range(1, EPOCHS + 1))
        assert version.tags["convzoo.model_sha256"] == sha256_of(Path(f"models/{network}/model.onnx"))
    assert query(new_clone, "SELECT count(*) FROM experiments") == [(PROCESSES + 1,)], "with that of MLflow itself"
