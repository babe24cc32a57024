"""The pictures of docs/images: MLflow's UI and the demo on a run of starter, and this clone's report.

`make screenshots`.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from helpers.demo_pages import best, draw, open_network  # noqa: E402
from helpers.pages import (  # noqa: E402
    SIZE,
    Page,
    chart,
    chromium,
    compare,
    enlarge,
    expect,
    is_seen,
    only_differences,
    open_model,
    open_runs,
    open_version,
    plot_against,
    row_of,
    scroll_to_metric,
    show_charts,
    slide,
    visitor,
    widen_names,
)
from helpers.served import server as demo_server  # noqa: E402
from helpers.shown import CLASSIFIER, DCGAN, VARIANT, build, promote, server  # noqa: E402
from PIL import Image  # noqa: E402

TARGET = ROOT / "docs/images"
REPORT = ROOT / "reports/index.html"
COLOURS = 128
# A digit as a person draws it, in shares of the pad's side.
DRAWN = [(0.3, 0.27), (0.42, 0.25), (0.55, 0.25), (0.7, 0.24), (0.64, 0.38), (0.55, 0.54), (0.48, 0.68), (0.44, 0.8)]


def shoot(page: Page, address: str) -> None:
    """Each page that a picture is made of."""
    open_runs(page, address, CLASSIFIER)
    expect(row_of(page, VARIANT)).to_be_visible()
    widen_names(page, 240)
    save(page, "mlflow-runs")

    compare(page, VARIANT, re.compile("^as committed [0-9a-f]{7}$"))
    only_differences(page)
    plot_against(page, "test_accuracy")
    page.set_viewport_size(SIZE | {"height": 1590})
    scroll_to_metric(page, "test_accuracy")
    save(page, "mlflow-comparison")
    page.set_viewport_size(SIZE)

    cards = show_charts(page, address, CLASSIFIER, "^(train|val)_")
    expect(cards.locator("path.js-line").nth(3)).to_be_attached()
    save(page, "mlflow-curves")

    dialog = enlarge(page, chart(page, address, DCGAN, "generated"))
    slide(dialog, 5)
    assert is_seen(dialog.locator("img[src*='step%2B8%2B']"))
    save(page, "mlflow-generated")

    open_model(page, address, CLASSIFIER)
    size = page.viewport_size
    page.set_viewport_size({**size, "height": 2 * size["height"]})  # for both versions' tags
    save(page, "mlflow-model")
    page.set_viewport_size(size)
    open_version(page, address, CLASSIFIER, 1)
    save(page, "mlflow-version")


def shoot_report(page: Page) -> None:
    """The beginning of the report, for the figure at the top of README.md."""
    page.set_viewport_size({"width": SIZE["width"], "height": SIZE["width"]})
    page.goto(REPORT.as_uri())
    save(page, "report")


def shoot_demo(page: Page, address: str) -> None:
    """A digit that is drawn, and digits that are generated."""
    open_network(page, address, CLASSIFIER)
    draw(page, DRAWN)
    page.mouse.up()
    expect(best(page)).to_have_text(re.compile(r"%$"))
    save_whole(page, "demo-draw")
    open_network(page, address, DCGAN)
    expect(page.get_by_label("Position")).to_be_enabled()
    save_whole(page, "demo-generate")


def save_whole(page: Page, name: str) -> None:
    """Write a picture of a page of the demo in its whole height."""
    page.set_viewport_size(SIZE | {"height": page.evaluate("document.querySelector('.layout').scrollHeight")})
    page.evaluate("document.activeElement.blur()")
    save(page, name)
    page.set_viewport_size(SIZE)


def save(page: Page, name: str) -> None:
    """Write a picture of what the page shows once it has come to rest."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(2000)  # charts and menus move into place
    file = TARGET / f"{name}.png"
    page.screenshot(path=file, animations="disabled")
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


def main() -> None:
    """Take the pictures of a new project, or of the one in FOLDER: `screenshots.py FOLDER`.

    `screenshots.py report` takes the one of this clone's report alone.
    """
    os.environ["LOGNAME"] = "reader"  # the user that runs name
    TARGET.mkdir(exist_ok=True)
    if not REPORT.is_file():
        sys.exit(f"{REPORT}: is missing, expected the report of this clone; run: make repro")
    with chromium() as browser, visitor(browser) as page:
        shoot_report(page)
    if sys.argv[1:] == ["report"]:
        return
    with tempfile.TemporaryDirectory() as folder:
        project = Path(sys.argv[1]) if sys.argv[1:] else build(Path(folder, "convzoo"), epochs=None)
        with server(project) as address, chromium() as browser, visitor(browser) as page:
            promote(project, CLASSIFIER, 1)
            shoot(page, address)
            with demo_server(project, "--mlflow", address, "--no-browser", command="demo") as (demo, _, _):
                shoot_demo(page, demo)


if __name__ == "__main__":
    main()
