"""Small projects of every family: before their training, and with all that their stages leave."""

import contextlib
import io
import shutil
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.small import FAMILIES
from helpers.small.family import working_in


class Shipped(NamedTuple):
    """A project after training, export and evaluation of a family's network."""

    folder: Path
    trained: dict[str, str]  # the sha256 of each file that the training left
    metrics: dict[str, Any]  # what the evaluation returned
    said: str  # by all three


@pytest.fixture
def working():
    """Makes a folder the current one."""
    return working_in


@pytest.fixture(params=FAMILIES)
def family(request):
    """Every family; the files of a single one override this."""
    return FAMILIES[request.param]


@pytest.fixture
def project(family, tmp_path):
    """The current folder is a project that is ready for the family's training."""
    with working_in(family.project(tmp_path)) as folder:
        yield folder


@pytest.fixture(scope="session")
def ship(tmp_path_factory):
    """Trains, exports and evaluates a family once."""

    @cache
    def shipped(name: str) -> Shipped:
        family, said = FAMILIES[name], io.StringIO()
        with working_in(family.project(tmp_path_factory.mktemp(name))) as folder, contextlib.redirect_stdout(said):
            family.train(**family.variants[0])
            trained = family.outputs()
            family.export()
            return Shipped(folder, trained, family.evaluate(), said.getvalue())

    return shipped


@pytest.fixture
def shipped(family, ship, tmp_path):
    """The current folder is a copy of a project with all that the family's stages leave, to change at will."""
    made = ship(family.name)
    with working_in(shutil.copytree(made.folder, tmp_path / "shipped")) as folder:
        yield made._replace(folder=folder)
    shutil.rmtree(folder)
