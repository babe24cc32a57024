"""A clone that was moved or copied: MLflow finds the artifacts beside the database, before any convzoo command runs."""

import shutil
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from helpers.project import ROOT, environment
from helpers.registered import free_port, stored_file, versions_of

from convzoo.tracking import store
from convzoo.tracking.registry import register
from convzoo.tracking.versions import find_model, find_version

DATABASE = "sqlite:///mlruns/mlflow.db"
LOAD = """
import mlflow
mlflow.pyfunc.load_model("models:/moved@candidate")
print(mlflow.artifacts.download_artifacts("models:/moved@candidate/model.onnx"))
"""
BY_HAND = """
import mlflow
mlflow.create_experiment("mine", artifact_location="convzoo:/artifacts/mine")
for name in ("Default", "mine"):
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        mlflow.log_text("by hand", "folder/note.txt")
    print(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/folder/note.txt"))
"""


@pytest.fixture
def original(clone, tmp_path, monkeypatch, write_network) -> Path:
    """A clone with one network, which is the current folder."""
    store.open_store()  # that of all tests, which is copied because making one takes seconds
    folder = tmp_path / "an original"
    (folder / "mlruns/artifacts").mkdir(parents=True)
    shutil.copy("mlruns/mlflow.db", folder / "mlruns/mlflow.db")
    shutil.copy("params.yaml", folder)
    (folder / "src/convzoo").mkdir(parents=True)  # by which a project is found
    monkeypatch.chdir(folder)
    write_network("moved", 1)
    register("moved")
    return folder


@pytest.fixture
def moved(original, tmp_path, monkeypatch) -> Path:
    """The original in another place, where no command of convzoo ran yet."""
    new = tmp_path / "new place"
    original.rename(new)
    monkeypatch.chdir(new)
    return new


@pytest.fixture(scope="session")
def variables(tmp_path_factory) -> dict[str, str]:
    """The environment of a process in which this convzoo is installed, so that MLflow finds its entry points."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    return installed(tmp_path_factory.mktemp("installed"), groups)


def installed(folder: Path, groups: dict[str, dict[str, str]]) -> dict[str, str]:
    package = folder / "convzoo-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: convzoo\nVersion: 0\n")
    lines = [f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in groups[group].items()) for group in groups]
    (package / "entry_points.txt").write_text("\n".join(lines))
    return environment(PYTHONPATH=f"{ROOT / 'src'}:{folder}", MLFLOW_TRACKING_URI=DATABASE, MLFLOW_WORKERS="1")


def run(variables: dict[str, str], *arguments: str, cwd: Path | None = None, **more: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=variables | more, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def serving(variables: dict[str, str], *arguments: str, health: str) -> Iterator[str]:
    """The address of a server that these arguments of Python start; it is stopped at the end."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, *arguments, "--port", str(port)], env=variables, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end:
            try:
                if requests.get(address + health, timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.2)
        assert process.poll() is None
        yield address
    finally:
        process.terminate()
        process.wait()


def text_of(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "mlruns/mlflow.db")) as connection:
        return "\n".join(connection.iterdump())


def test_the_database_holds_no_path_of_the_machine(original):
    text = text_of(original)
    assert "file:///" not in text and str(original) not in text
    assert ",'convzoo:/artifacts/0'," in text and ",'convzoo:/artifacts/moved'," in text


def test_mlflow_loads_a_model_of_a_moved_clone_from_any_folder(moved, tmp_path, variables):
    [stored] = (moved / "mlruns").rglob("model.onnx")
    assert run(variables, "-c", LOAD).strip() == str(stored)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    uri = f"sqlite:///{moved}/mlruns/mlflow.db"
    assert run(variables, "-c", LOAD, cwd=elsewhere, MLFLOW_TRACKING_URI=uri).strip() == str(stored)
    assert not list(elsewhere.iterdir())


def test_mlflow_serves_a_model_of_a_moved_clone(moved, variables):
    model = ["-m", "mlflow", "models", "serve", "-m", "models:/moved@candidate", "--env-manager", "local"]
    with serving(variables, *model, health="/ping") as address:
        images = [[[[number]] * 4] * 4 for number in (0, 255)]
        answer = requests.post(f"{address}/invocations", json={"inputs": images}, timeout=60).json()
    assert [sum(row) for row in answer["predictions"]["probabilities"]] == pytest.approx([1, 1])


def test_the_server_shows_artifacts_of_a_moved_clone_and_stores_those_of_others(moved, variables):
    with serving(variables, "-m", "convzoo.cli", "ui", health="/health") as address:
        run_id = versions_of("moved")[0].run_id
        asked = {"run_uuid": run_id, "path": "evaluation/evaluation.json"}
        assert requests.get(f"{address}/get-artifact", asked, timeout=60).json()["test_images"] == 8
        asked["path"] = "../../../../mlflow.db"
        assert requests.get(f"{address}/get-artifact", asked, timeout=60).status_code == 400
        script = BY_HAND.replace("convzoo:/artifacts/mine", "")  # the server decides
        assert run(variables, "-c", script, MLFLOW_TRACKING_URI=address).startswith("by hand\nby hand\n")
        assert run(variables, "-c", LOAD, MLFLOW_TRACKING_URI=address)
    assert len(list((moved / "mlruns/artifacts").rglob("folder/note.txt"))) == 2
    assert not (moved / "mlartifacts").exists()


def test_what_is_logged_by_hand_lies_beside_the_database(moved, variables):
    assert run(variables, "-c", BY_HAND) == "by hand\nby hand\n"
    assert len(list((moved / "mlruns/artifacts/mine").rglob("folder/note.txt"))) == 1
    assert len(list((moved / "mlruns/artifacts/0").rglob("folder/note.txt"))) == 1


def test_without_the_plugin_nothing_is_written_elsewhere(moved, tmp_path):
    files = sorted(moved.rglob("*"))
    (tmp_path / "bare").mkdir()
    command = [sys.executable, "-c", BY_HAND]
    bare = installed(tmp_path / "bare", {})
    done = subprocess.run(command, env=bare, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Could not find a registered artifact repository for: convzoo:/artifacts/0/" in done.stderr
    assert sorted(moved.rglob("*")) == files


def test_collecting_in_a_copy_leaves_the_files_of_the_original(original, tmp_path, monkeypatch, variables):
    new, file = tmp_path / "copy", stored_file(versions_of("moved")[0])
    shutil.copytree(original, new)
    monkeypatch.chdir(new)
    run_id = find_version("moved").version.run_id
    store.use_store().delete_run(run_id)
    # Even with the address of the original in the environment, as of a shell that was used there.
    uris = {"MLFLOW_TRACKING_URI": f"sqlite:///{original}/mlruns/mlflow.db"}
    run(variables, "-m", "mlflow", "gc", "--backend-store-uri", DATABASE, "--run-ids", run_id, **uris)
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
    warning = f"{new}/mlruns/mlflow.db: has no artifacts, expected them in {new}/mlruns/artifacts; copy them from where"
    assert warning in capsys.readouterr().err
    store.use_store()
    assert capsys.readouterr().err == ""


def older(folder: Path) -> None:
    """Change the database to what a convzoo before convzoo:/ locations wrote in this folder."""
    artifacts = folder / "mlruns/artifacts"
    with closing(sqlite3.connect(folder / "mlruns/mlflow.db")) as database:
        for table, column in store._text_columns(database):
            store._replace_start(database, table, column, store.ROOT, artifacts.as_uri())
        # Experiments that were created in the UI, with MLflow's API, and for another folder.
        for name in (f"{artifacts}/7", f"{folder}/mlruns/8", "/elsewhere/artifacts/9"):
            values = (name, name, "active", "default")
            columns = "name, artifact_location, lifecycle_stage, workspace"
            database.execute(f"INSERT INTO experiments ({columns}) VALUES (?, ?, ?, ?)", values)
        database.commit()


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_database_of_an_older_convzoo_is_converted_once(original, tmp_path, monkeypatch, is_moved, variables):
    older(original)
    assert original.as_uri() in text_of(original) and "convzoo:/" not in text_of(original)
    new = tmp_path / "new place" if is_moved else original
    original.rename(new)
    monkeypatch.chdir(new)
    find_model("moved")
    text = text_of(new)
    assert "file:///" not in text
    for location in ("convzoo:/artifacts/7", f"{new}/mlruns/8", "/elsewhere/artifacts/9", "convzoo:/artifacts/moved"):
        assert f",'{location}'," in text
    store.open_store()
    assert text_of(new) == text
    assert run(variables, "-c", LOAD)
