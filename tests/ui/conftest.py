"""One project, one server of MLflow and of the demo each, and one browser for all tests here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.demo_pages import demo_visitor
from helpers.demo_zoo import write_demo_zoo
from helpers.pages import Browser, Page, chromium, visitor
from helpers.served import server as demo_server
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


@pytest.fixture(scope="session")
def demo_zoo(tmp_path_factory) -> Path:
    """A folder with a network for each panel of the demo."""
    return write_demo_zoo(tmp_path_factory.mktemp("demo zoo"))


@pytest.fixture(scope="session")
def demo(demo_zoo, tmp_path_factory) -> Iterator[str]:
    """Where `convzoo demo` serves them."""
    arguments = ("--models", str(demo_zoo), "--no-browser")
    with demo_server(tmp_path_factory.mktemp("demo"), *arguments, command="demo") as (found, _, _):
        yield found


@pytest.fixture(params=[1400, 390], ids=["screen", "phone"])
def demo_page(request, browser, demo) -> Iterator[Page]:
    """A page of the demo's server, which asks no other machine."""
    with demo_visitor(browser, demo, request.param) as page:
        yield page
