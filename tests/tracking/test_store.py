"""The store: made once, found again after a move, not written to from the wrong place."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest

from convzoo.tracking import runs, store
from convzoo.tracking.registry import register

OPEN = """
from convzoo.tracking import runs, store
client = store.open_store()
print(runs.experiment_of(client, "shared"))
"""


def text_of(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump())


def test_two_processes_that_make_the_database_at_once_get_the_same_one(tmp_path):
    (tmp_path / "params.yaml").write_text("profile: test\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(store.__file__).parents[2])}
    both = [
        subprocess.Popen([sys.executable, "-c", OPEN], cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0] == answers[1] != ""
    assert [file.name for file in (tmp_path / "mlruns").glob("*.db")] == ["mlflow.db"]


def test_a_copied_clone_reads_its_own_artifacts(project, tmp_path, monkeypatch, write_network):
    clone = tmp_path / "a clone"  # with a store of its own, in which no other test registered anything
    shutil.copytree(project, clone, ignore=shutil.ignore_patterns("mlruns", "models"))
    monkeypatch.chdir(clone)
    write_network("moved", 1)
    register("moved")
    new = tmp_path / "another place (2)"
    shutil.copytree(clone, new)
    shutil.rmtree(new / "mlruns/artifacts")
    # The files go there alone, so that nothing can be read from the old clone by mistake.
    shutil.copytree(clone / "mlruns/artifacts/moved", new / "mlruns/artifacts/moved")

    monkeypatch.chdir(new)
    store.use_store()
    text = text_of(new / "mlruns/mlflow.db")
    assert text == text_of(clone / "mlruns/mlflow.db")
    assert clone.as_uri() not in text and str(clone) not in text

    images = np.load("data/prepared/shapes/val/images.npy")
    answer = mlflow.pyfunc.load_model("models:/moved@candidate").predict(images)["probabilities"]
    session = onnxruntime.InferenceSession("models/moved/model.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(answer, session.run(None, {"images": images})[0])
    assert register("moved") == "moved: already registered as version 1, alias candidate"


def test_a_store_that_the_user_chose_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org:5000")
    assert store.tracking_uri() == "http://example.org:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/x.db")
    assert store.tracking_uri() == f"sqlite:///{tmp_path}/x.db"


def test_a_database_of_the_users_own_keeps_its_places(clone, tmp_path, monkeypatch):
    store.open_store()
    foreign = tmp_path / "db/mlflow.db"
    foreign.parent.mkdir()
    shutil.copy(clone / "mlruns/mlflow.db", foreign)
    with closing(sqlite3.connect(foreign)) as database:
        database.execute("UPDATE experiments SET artifact_location = 'file:///elsewhere/artifacts/0'")
        database.commit()
    before = text_of(foreign)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{foreign}")
    store.open_store()
    assert text_of(foreign) == before


def test_an_experiment_in_a_temporary_copy_uses_the_store_of_its_clone(tmp_path, project, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert store.tracking_uri() == f"sqlite:///{project}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert store.tracking_uri() == f"sqlite:///{project}/other.db"


def test_mlflow_uses_the_store_and_the_environment_stays_as_it_was():
    client = store.use_store()
    assert mlflow.get_tracking_uri() == client.tracking_uri
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_folder_that_cannot_hold_a_database_is_named(tmp_path, monkeypatch):
    (tmp_path / "mlruns").write_text("a file")
    (tmp_path / "params.yaml").write_text("profile: test\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(store.TrackingError, match=r"mlflow\.db: cannot be opened"):
        store.open_store()


def test_an_experiment_deleted_in_the_ui_comes_back():
    client = store.open_store()
    experiment = runs.experiment_of(client, "deleted")
    client.delete_experiment(experiment)
    assert runs.experiment_of(client, "deleted") == experiment
    assert client.get_experiment(experiment).lifecycle_stage == "active"
