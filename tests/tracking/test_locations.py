"""Locations of artifacts, convzoo:/artifacts/...: where they lead, and that they lead nowhere else."""

from pathlib import Path

import pytest

from convzoo.tracking import locations, store

# isort: split
from mlflow.exceptions import MlflowException


@pytest.fixture
def database(tmp_path, monkeypatch) -> Path:
    """A database, in the current folder."""
    folder = tmp_path / "a clone, 100% #1?"
    folder.mkdir()
    monkeypatch.chdir(folder)
    file = folder / "mlflow.db"
    file.touch()
    return file


@pytest.mark.parametrize("name", ["", "/0", "/net/run/artifacts", "/with space", "/with%20space", "/100%25"])
@pytest.mark.parametrize("slashes", ["/", "///"])
def test_a_location_is_the_folder_beside_the_database(database, name, slashes):
    folder = str(database.parent / "artifacts") + name.replace("%20", " ").replace("%25", "%")
    for uri in (store._sqlite_uri(database), "sqlite:///mlflow.db", "sqlite+pysqlite:///mlflow.db?timeout=5"):
        assert locations.repository(f"convzoo:{slashes}artifacts{name}", uri).artifact_dir == folder


@pytest.mark.parametrize(
    "location",
    [
        "convzoo:/artifacts/../mlflow.db",
        "convzoo:/artifacts/net/../../..",
        "convzoo:/artifacts/%2e%2e/x",
        "convzoo:/artifacts/%252e%252e/x",
        "convzoo:/artifacts/..%2fx",
        "convzoo:/artifacts/.",
        "convzoo:/artifacts/a%00b",
        "convzoo:/artifacts/..\\x",
        "convzoo:/mlflow.db",
        "convzoo:/artifacts2/x",
        "convzoo:/",
        "convzoo:",
        "convzoo:////etc/passwd",
        "convzoo://host/artifacts/x",
        "convzoo:/artifacts/x?a=b",
        "convzoo:/artifacts/x#a",
        "file:///artifacts/x",
    ],
)
def test_no_location_leads_out_of_the_artifacts(database, location):
    for uri in ("sqlite:///mlflow.db", "http://localhost:5000"):
        with pytest.raises(MlflowException, match="is not the location of an artifact, expected convzoo:/artifacts"):
            locations.repository(location, uri)


@pytest.mark.parametrize("uri", ["sqlite:///other.db", "sqlite:///:memory:", "postgresql://host/x", "file:///mlruns"])
def test_without_its_database_nothing_is_written(database, uri):
    with pytest.raises(MlflowException, match=r"expected it at .*; set MLFLOW_TRACKING_URI to sqlite:"):
        locations.repository("convzoo:/artifacts/x", uri)
    assert [*database.parent.iterdir()] == [database]


def test_the_artifacts_of_a_server_come_from_the_server(database):
    repository = locations.repository("convzoo:/artifacts/net/a b", "http://localhost:5000/prefix")
    assert repository.artifact_uri == "http://localhost:5000/prefix/api/2.0/mlflow-artifacts/artifacts/net/a%20b"
