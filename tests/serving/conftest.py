"""A server in this process, of a folder with a network of each kind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.served import write_zoo
from starlette.testclient import TestClient

from convzoo.serving.app import Service, create_app
from convzoo.serving.champions import Champions
from convzoo.serving.limits import Limits
from convzoo.serving.sources import Folder

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, which tests leave as it is."""
    return write_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def service(zoo: Path) -> Callable[..., Service]:
    """Makes a service of the zoo; with other limits, a token or a shadow."""

    def made(folder: Path = zoo, limits: Limits | None = None, **more: object) -> Service:
        champions = Champions(Folder(folder))
        champions.start()
        return Service(champions, limits or Limits(), **more)

    return made


@pytest.fixture
def start(service: Callable[..., Service]) -> Iterator[Callable[..., TestClient]]:
    """Starts a server; a client of it."""
    started = []

    def client(**options: object) -> TestClient:
        started.append(TestClient(create_app(service(**options)), ADDRESS, raise_server_exceptions=False))
        return started[-1].__enter__()

    yield client
    for one in started:
        one.__exit__(None, None, None)


@pytest.fixture
def client(start: Callable[..., TestClient]) -> TestClient:
    """A client of a server with the default limits."""
    return start()
