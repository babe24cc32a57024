"""One project, one server and one browser for all tests here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.pages import Browser, Page, chromium, visitor
from helpers.shown import build, server


@pytest.fixture(scope="session")
def shown(tmp_path_factory) -> Path:
    """A project with runs to look at."""
    return build(tmp_path_factory.mktemp("to look at") / "convzoo")


@pytest.fixture(scope="session")
def address(shown) -> Iterator[str]:
    """Where `convzoo ui` shows it."""
    with server(shown) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, which make test-ui installs."""
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A page of somebody who was here once."""
    with visitor(browser) as found:
        yield found
