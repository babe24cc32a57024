"""A clone that was moved or copied: its first command adapts the database and leaves the original alone."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from helpers.registered import stored_file, versions_of
from mlflow.cli import gc

from convzoo.tracking import store
from convzoo.tracking.registry import register
from convzoo.tracking.versions import find_model, find_version


@pytest.fixture
def original(clone, tmp_path, monkeypatch, write_network) -> Path:
    """A clone with one network, which is the current folder."""
    store.open_store()  # that of all tests, which is copied because making one takes seconds
    folder = tmp_path / "an original"
    folder.mkdir()
    (folder / "mlruns").mkdir()
    shutil.copy("mlruns/mlflow.db", folder / "mlruns/mlflow.db")
    (folder / "mlruns/artifacts").mkdir()
    shutil.copy("params.yaml", folder)
    monkeypatch.chdir(folder)
    write_network("moved", 1)
    register("moved")
    return folder


def text_of(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "mlruns/mlflow.db")) as connection:
        return "\n".join(connection.iterdump())


def test_a_moved_clone_is_adapted_by_its_first_command(original, tmp_path, monkeypatch, capsys):
    new = tmp_path / "new place"
    original.rename(new)
    monkeypatch.chdir(new)
    capsys.readouterr()
    find_model("moved")
    text = text_of(new)
    assert original.as_uri() not in text and str(original) not in text and new.as_uri() in text
    assert mlflow.pyfunc.load_model("models:/moved@candidate")
    assert capsys.readouterr().err == ""


def test_collecting_in_a_copy_leaves_the_files_of_the_original(original, tmp_path, monkeypatch):
    new, file = tmp_path / "copy", stored_file(versions_of("moved")[0]).absolute()
    shutil.copytree(original, new)
    monkeypatch.chdir(new)
    client = store.use_store()
    run_id = find_version("moved").version.run_id
    client.delete_run(run_id)
    done = CliRunner().invoke(gc, ["--backend-store-uri", store.tracking_uri(), "--run-ids", run_id])
    assert done.exit_code == 0, done.output
    assert not list(new.rglob(f"{run_id}/artifacts/descent"))
    monkeypatch.chdir(original)
    assert file.is_file() and find_version("moved").lineage["network"] == "moved"


def test_a_database_that_was_copied_alone_says_that_its_artifacts_are_missing(original, tmp_path, monkeypatch, capsys):
    new = tmp_path / "database only"
    (new / "mlruns").mkdir(parents=True)
    shutil.copy("mlruns/mlflow.db", new / "mlruns")
    monkeypatch.chdir(new)
    capsys.readouterr()
    store.use_store()
    warning = f"mlflow.db: was copied without its artifacts, expected them in {new}/mlruns/artifacts; copy them from "
    assert f"{warning}{original}/mlruns/artifacts, or run: convzoo sync\n" in capsys.readouterr().err
    store.use_store()
    assert capsys.readouterr().err == ""
