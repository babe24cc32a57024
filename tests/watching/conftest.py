"""A served classifier whose images are measured, and logs of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.served import images, write_watched

from convzoo.serving.limits import LogOptions
from convzoo.serving.served import Served, load
from convzoo.serving.sources import Folder, wanted
from convzoo.watching.log import RequestLog


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the classifier `pets`, which tests leave as it is."""
    folder = tmp_path_factory.mktemp("models")
    write_watched(folder)
    return folder


@pytest.fixture
def served(models: Path, tmp_path: Path) -> Served:
    """The classifier."""
    release = wanted(Folder(models).snapshot().releases["pets"], None)
    folder = tmp_path / "loaded"
    folder.mkdir()
    return load(release, folder, logged=True)


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[Callable[..., RequestLog]]:
    """Opens logs in `tmp_path`/log, and closes them at the end."""
    opened = []

    def make(**options: object) -> RequestLog:
        opened.append(RequestLog(LogOptions(tmp_path / "log", **options)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def ask(served: Served) -> Callable[..., np.ndarray]:
    """Offers the answer about some images to a log, and returns the images."""

    def offer(log: RequestLog, count: int = 20, seed: int = 5, seconds: float = 0.25) -> np.ndarray:
        given = images(count, seed=seed)
        log.offer(served, "predict", given, served.model.run(given), seconds)
        return given

    return offer
