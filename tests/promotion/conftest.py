"""One tracking database for all tests here; each test has a network of its own."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.memory_registry import registry  # noqa: F401 (a fixture)
from helpers.promotions import write_data, write_params
from helpers.shared_server import mlflow_server


@pytest.fixture(scope="session")
def promotions_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder."""
    folder = tmp_path_factory.mktemp("promotions")
    (folder / "src/convzoo").mkdir(parents=True)  # by which a project is found
    return folder


@pytest.fixture(autouse=True)
def project(promotions_clone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as current one, with checked data and nothing of the user's in the environment."""
    for name in ("MLFLOW_TRACKING_URI", "CONVZOO_TRACKING", "DVC_ROOT", "DVC_EXP_NAME", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(promotions_clone)
    return promotions_clone


@pytest.fixture
def network(request: pytest.FixtureRequest) -> str:
    """A network of this test alone, in params.yaml."""
    said = re.sub("[^a-z0-9]+", "-", request.node.name.lower())
    name = f"{said[:30].rstrip('-')}-{hashlib.sha256(said.encode()).hexdigest()[:6]}"
    write_params(name)
    write_data()
    Path("promotions.jsonl").unlink(missing_ok=True)
    return name


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def shared_store(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server as the store of this process."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return server
