"""Versions read from the sqlite database without MLflow: the same answers, at once, and MLflow for all else."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from helpers.project import ROOT, python
from mlflow.store.db.utils import _get_latest_schema_revision

from convzoo.commands.trace import trace
from convzoo.errors import ConvzooError
from convzoo.tracking import reader, store
from convzoo.tracking.listing import listing
from convzoo.tracking.reader import Reader, UnansweredError
from convzoo.tracking.registry import register
from convzoo.tracking.versions import find_model

QUESTIONS = {
    "a version": lambda network: find_model(f"{network}@v1").title,
    "its file": lambda network: find_model(network).file.read_bytes(),
    "the list": listing,
    "the lineage": trace,
}


@pytest.fixture
def versions(write_network):
    """The name of a network with two versions, of which the first has an alias set by hand, and a deleted one."""
    if not Path("models/read").exists():  # once for all tests, which leave it as it is
        for seed in (1, 2, 3):
            write_network("read", seed)
            register("read")
        client = store.use_store()
        client.set_registered_model_alias("read", "production", "1")
        client.delete_model_version("read", "3")
        client.set_registered_model_alias("read", "candidate", "2")
    return "read"


def test_the_reader_knows_the_tables_of_the_installed_mlflow():
    assert _get_latest_schema_revision() == reader.SCHEMA, "compare the queries with MLflow's tables, then change it"


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answers_are_those_of_mlflow(question, versions, monkeypatch):
    with monkeypatch.context() as without_mlflow:
        without_mlflow.setattr(store, "open_store", None)
        answer = QUESTIONS[question](versions)
    monkeypatch.setattr(reader, "SCHEMA", "another one")
    assert QUESTIONS[question](versions) == answer


def test_what_another_program_changes_is_seen_at_once(network):
    assert find_model(network).title.endswith("@candidate: version 1")
    store.use_store().set_registered_model_alias(network, "champion", "1")
    assert find_model(network).title.endswith("@champion: version 1")
    (row,) = listing(network)
    assert row["aliases"] == ["candidate", "champion (set by hand)"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing", "has no alias missing; choose one of its versions: v2"),
        ("candidat", "has no alias candidat; did you mean 'candidate'? choose one of its versions: v2"),
        ("v3", "has no version 3; choose one of its versions: v2"),
        ("v99", "has no version 99; choose one of its versions: v2"),
    ],
)
def test_a_version_that_does_not_exist_is_named_without_mlflow(name, problem, versions, monkeypatch):
    monkeypatch.setattr(store, "open_store", None)
    with pytest.raises(ConvzooError) as caught:
        find_model(f"{versions}@{name}")
    assert str(caught.value).startswith(f"{versions}@{name}: {versions} {problem}")


UNCOVERED = {
    "another schema": "UPDATE alembic_version SET version_num = '1'",
    "artifacts elsewhere": "UPDATE experiments SET artifact_location = 'file:///x/artifacts/1' WHERE experiment_id = 1",
    "a workspace": "INSERT INTO registered_models (name, workspace) VALUES ('x', 'team')",
    "a prompt": "INSERT INTO registered_model_tags (name, key, value) VALUES ('x', 'mlflow.prompt.is_prompt', 'true')",
    "no tables": "DROP TABLE alembic_version",
}


@pytest.mark.parametrize("change", UNCOVERED)
def test_any_other_database_is_left_to_mlflow(change, versions, tmp_path, monkeypatch):
    (tmp_path / "artifacts").mkdir()
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy:
        with closing(sqlite3.connect(store.database_file(store.tracking_uri()))) as database:
            database.backup(copy)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        assert (versions, "1") in Reader().versions
        copy.execute(UNCOVERED[change])
        copy.commit()
    with pytest.raises((UnansweredError, sqlite3.Error)) as caught:
        Reader()
    with closing(sqlite3.connect(tmp_path / "mlflow.db", timeout=0)) as free:
        free.execute("BEGIN EXCLUSIVE")  # `caught` keeps the reader alive, but it holds no lock that MLflow would need
    assert caught.value
    assert reader.ask(lambda client: client, lambda: "MLflow") == "MLflow"


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
def test_a_server_is_asked_through_mlflow(variable, monkeypatch):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(UnansweredError):
        Reader()


def test_a_project_without_a_database_uses_its_files_and_creates_none(network, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    monkeypatch.setattr(store, "open_store", None)
    assert find_model(network).title == f"{network}: models/{network}/model.onnx, which is not registered"
    with pytest.raises(ConvzooError, match=r"the registry: no model is registered yet; "):
        listing()
    assert not [*tmp_path.iterdir()]


def test_models_trace_and_predict_import_no_mlflow(network):
    code = (
        "import sys; from convzoo.commands import models, predict, trace\n"
        f"models.command(); trace.command({network!r}); predict.model_file({network!r}, 'predict')\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('mlflow', 'sqlalchemy', 'pandas')])"
    )
    printed = python(Path.cwd(), "-c", code, PYTHONPATH=str(ROOT / "src"))
    assert f"{network}@candidate: version 1" in printed
    assert "[]" in printed.splitlines()
