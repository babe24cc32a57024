"""MLflow's pages as a person walks through them: what to click, and what must be there before one goes on."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from helpers.chromium import find

TIME_LIMIT = 60_000  # milliseconds for anything to appear
SIZE = {"width": 1280, "height": 800}
# The assistant's panel covers a quarter of each page at a first visit, and a dialog the models.
SEEN = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
localStorage.setItem("_mlflow_model_registry_promo_modal_dismissed_v1", "true");
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless chromium."""
    expect.set_options(timeout=TIME_LIMIT)
    with sync_playwright() as playwright:
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # which chromium's sandbox refuses
        browser = playwright.chromium.launch(executable_path=find(), args=as_root)
        yield browser
        browser.close()


@contextmanager
def visitor(browser: Browser) -> Iterator[Page]:
    """A page for somebody who has seen MLflow's greetings, and nothing else of it."""
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce", locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(TIME_LIMIT)
    context.add_init_script(SEEN)
    yield context.new_page()
    context.close()


def open_runs(page: Page, address: str, network: str) -> None:
    """From the list of experiments to the runs of a network. MLflow starts as a tool for prompts: one click."""
    page.goto(f"{address}/#/experiments")
    page.get_by_text("Model training").click()
    page.get_by_test_id("experiment-list-item-link").filter(has_text=f"convzoo/{network}").click()
    expect(page.get_by_text(re.compile(r"\d+ matching run"))).to_be_visible()


def widen_names(page: Page, pixels: int) -> None:
    """Drag the edge of the column with the runs' names."""
    header = page.get_by_role("columnheader").filter(has_text="Run Name").first.bounding_box()
    x, y = header["x"] + header["width"] - 2, header["y"] + header["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pixels, y, steps=5)
    page.mouse.up()


def row_of(page: Page, run: str | re.Pattern[str]) -> Locator:
    """The row of a run in the list, by its name or a part of it."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=run))


def compare(page: Page, *runs: str | re.Pattern[str]) -> None:
    """Tick runs in the list and compare them."""
    for run in runs:
        row_of(page, run).get_by_role("checkbox", name="toggle row selection").check()
    page.get_by_test_id("runs-compare-button").click()
    expect(page.get_by_text(f"Comparing {len(runs)} Runs")).to_be_visible()


def show_charts(page: Page, address: str, network: str, search: str) -> Locator:
    """The charts of a network's runs whose names hold `search`."""
    open_runs(page, address, network)
    page.goto(f"{page.url}&compareRunsMode=CHART")
    page.get_by_placeholder("Search metric charts").fill(search)
    return page.get_by_test_id("experiment-view-compare-runs-card")


def chart(page: Page, address: str, network: str, name: str) -> Locator:
    """The card of one chart."""
    cards = show_charts(page, address, network, name)
    return cards.filter(has=page.get_by_role("heading", name=name, exact=True))


def enlarge(page: Page, card: Locator) -> Locator:
    """A chart as large as the page."""
    card.get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog


def slide(dialog: Locator, steps: int) -> None:
    """Move an image chart's slider by so many of its pictures."""
    for _ in range(steps):
        dialog.get_by_role("slider").press("ArrowRight")


def open_artifact(page: Page, address: str, network: str, run: str, *path: str) -> Locator:
    """A picture among a run's artifacts: through the folders to the file."""
    open_runs(page, address, network)
    row_of(page, run).get_by_role("link", name=run).click()
    page.get_by_role("tab", name="Artifacts").click()
    for name in path:
        page.get_by_text(name, exact=True).click()
    return page.locator("img[src]")


def scroll_to_metric(page: Page, metric: str) -> None:
    """Bring a metric to the top of the table of compared metrics, whose names follow the values one event late."""
    table, name = page.locator(".ReactVirtualized__Grid").last, page.get_by_role("link", name=metric, exact=True)
    table.hover()
    top = table.bounding_box()["y"]
    for _ in range(60):  # steps of a line; the machine's load stands before the test's figures
        page.mouse.wheel(0, 22)
        page.wait_for_timeout(100)
        if name.count() and name.bounding_box()["y"] - top < 60:
            break
    page.mouse.wheel(0, 1)
    expect(name).to_be_in_viewport()


def values_beside(page: Page, metric: str) -> list[str]:
    """The values that stand in the line of a metric's name in the table of compared metrics."""
    name = page.get_by_role("link", name=metric, exact=True)
    expect(name).to_be_in_viewport()
    line = name.bounding_box()["y"]
    cells = page.locator(".ReactVirtualized__Grid").last.locator("span:not(:has(*))")
    return [cell.inner_text() for cell in cells.all() if abs(cell.bounding_box()["y"] - line) < 12]


def is_seen(image: Locator) -> bool:
    """Whether a picture has pixels and, scrolled to, stands on the page with nothing before it; waits for it."""
    expect(image.first).to_be_visible()
    image.first.scroll_into_view_if_needed()
    return image.first.evaluate(
        """async image => {
            await image.decode();
            const {x, y, width, height} = image.getBoundingClientRect();
            const top = document.elementFromPoint(x + width / 2, y + height / 2);
            return image.naturalWidth > 0 && width > 50 && (top === image || image.parentElement.contains(top));
        }"""
    )


def open_model(page: Page, address: str, network: str) -> None:
    """A registered model with its versions."""
    page.goto(f"{address}/#/models/{network}")
    expect(page.get_by_role("link", name="Version 1")).to_be_visible()


def version_row(page: Page, version: int) -> Locator:
    """A version's row on the model's page."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=f"Version {version}", exact=True))


def only_differences(page: Page) -> None:
    """Of two compared runs, show what differs alone."""
    for switch in page.get_by_text("Show diff only").all():
        switch.click()


def open_version(page: Page, address: str, network: str, version: int) -> None:
    """A registered version's own page."""
    page.goto(f"{address}/#/models/{network}/versions/{version}")
    expect(page.get_by_role("heading", name=f"Version {version}")).to_be_visible()


def plot_against(page: Page, metric: str) -> None:
    """On the page of a comparison, put a metric on the axes in the place of the one that MLflow chose."""
    chosen = page.get_by_role("combobox").nth(1)
    chosen.click()
    page.keyboard.press("Backspace")
    chosen.fill(metric)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
