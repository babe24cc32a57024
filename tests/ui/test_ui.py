"""MLflow's UI in a real browser, on runs that the pipeline made: what a person sees who compares and promotes."""

import csv
import subprocess

import pytest
from helpers.pages import (
    chart,
    compare,
    enlarge,
    expect,
    is_seen,
    only_differences,
    open_artifact,
    open_model,
    open_runs,
    open_version,
    row_of,
    scroll_to_metric,
    slide,
    values_beside,
    version_row,
)
from helpers.project import query
from helpers.shown import CLASSIFIER, DCGAN, RATE, VARIANT, VARIANT_RATE, client_of, promote

pytestmark = pytest.mark.browser

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
# The elements that reach over the right edge of the page and are in no box that scrolls by itself.
OUTSIDE = """
[...document.querySelectorAll("body *")].filter(element => {
    if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
    for (let box = element; box; box = box.parentElement)
        if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return false;
    return true;
}).map(element => element.outerHTML.slice(0, 200))
"""


def name_of(shown, *words: str) -> str:
    """The name of the classifier's run that holds `words` and no others' experiment."""
    joined = "runs JOIN experiments USING (experiment_id)"
    found = query(shown, f"SELECT runs.name FROM {joined} WHERE experiments.name = 'convzoo/{CLASSIFIER}'")
    [name] = [name for (name,) in found if (VARIANT in name) == (VARIANT in words)]
    return name


def accuracy_of(shown, name: str) -> float:
    sql = f"SELECT value FROM latest_metrics JOIN runs USING (run_uuid) WHERE name = '{name}' AND key = 'test_accuracy'"
    [(value,)] = query(shown, sql)
    return value


def length_of(line) -> float:
    return line.evaluate("line => line.getTotalLength()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_report_fits_the_width_of_a_phone_and_of_a_screen(browser, shown, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto((shown / "reports/index.html").as_uri())
    for details in page.locator("details > summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    bright = sum(map(int, page.evaluate(BACKGROUND).removeprefix("rgb(").removesuffix(")").split(",")))
    assert bright > 600 if scheme == "light" else bright < 200
    assert (shown / "reports/index.html").stat().st_size < 5_000_000
    context.close()


def test_the_runs_are_listed_by_names_that_tell_them_apart(page, address, shown):
    open_runs(page, address, CLASSIFIER)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=shown, capture_output=True, text=True).stdout
    expect(row_of(page, f"learning_rate={VARIANT_RATE} {VARIANT} {head[:7]}")).to_be_visible()
    expect(row_of(page, name_of(shown))).to_be_visible()
    expect(page.get_by_text("2 matching runs")).to_be_visible()


def test_search_leaves_the_runs_that_it_asks_for(page, address, shown):
    open_runs(page, address, CLASSIFIER)
    expect(row_of(page, name_of(shown, VARIANT))).to_be_visible()  # or the list of all would replace what was found
    between = (accuracy_of(shown, name_of(shown)) + accuracy_of(shown, name_of(shown, VARIANT))) / 2
    box = page.get_by_test_id("search-box")
    box.fill(f"metrics.test_accuracy > {between:.4f} and params.optimizer = 'sgd'")
    box.press("Enter")
    expect(page.get_by_text("1 matching run", exact=True)).to_be_visible()
    expect(row_of(page, name_of(shown))).to_be_visible()


def test_two_runs_are_compared_and_their_difference_is_on_the_page(page, address, shown):
    names = name_of(shown), name_of(shown, VARIANT)
    open_runs(page, address, CLASSIFIER)
    compare(page, *names)
    only_differences(page)
    rates = page.get_by_role("row").filter(has=page.get_by_text("learning_rate", exact=True)).first
    for value in (RATE, VARIANT_RATE):
        expect(rates.get_by_text(value, exact=True)).to_be_visible()
    expect(page.get_by_role("row").filter(has=page.get_by_text("optimizer", exact=True))).to_have_count(0)
    scroll_to_metric(page, "test_accuracy")
    expected = {str(round(accuracy_of(shown, name), 3)) for name in names}
    assert set(values_beside(page, "test_accuracy")) == expected and len(expected) == 2


def test_a_curve_is_drawn_of_each_run(page, address):
    card = chart(page, address, CLASSIFIER, "val_accuracy")
    lines = card.locator(".scatterlayer .trace path.js-line")
    expect(lines.nth(1)).to_be_attached()
    colours = {line.evaluate("line => line.style.stroke") for line in lines.all() if length_of(line) > 20}  # pixels
    assert len(colours) == 2


def test_generated_pictures_are_seen_epoch_by_epoch(page, address, shown):
    dialog = enlarge(page, chart(page, address, DCGAN, "generated"))
    rows = csv.DictReader((shown / f"models/{DCGAN}/history.csv").read_text().splitlines())
    judged = [row["epoch"] for row in rows if row["val_kid"]]
    assert len(judged) > 2
    for epoch in judged:
        slide(dialog, 1)
        image = dialog.locator(f"img[src*='generated%2Bstep%2B{epoch}%2B']")
        assert is_seen(image), epoch


def test_a_confusion_matrix_is_seen_among_the_artifacts_and_beside_that_of_another_run(page, address, shown):
    assert is_seen(open_artifact(page, address, CLASSIFIER, name_of(shown), "plots", "confusion.png"))
    dialog = enlarge(page, chart(page, address, CLASSIFIER, "confusion"))
    images = dialog.locator("img[src]")
    expect(images).to_have_count(2)
    assert is_seen(images.first) and is_seen(images.last)


def test_a_registered_model_shows_versions_aliases_tags_and_description(page, address, shown):
    client = client_of(shown)
    card = client.get_model_version(CLASSIFIER, "1").description
    open_model(page, address, CLASSIFIER)
    expect(version_row(page, 2)).to_be_visible()
    expect(version_row(page, 1)).to_contain_text("candidate")
    expect(version_row(page, 1)).to_contain_text("convzoo.profile: starter")
    open_version(page, address, CLASSIFIER, 1)
    sentence = card.splitlines()[0].lstrip("# ").replace("...", "…")  # as MLflow shows three dots
    expect(page.get_by_text(sentence, exact=True).first).to_be_visible()
    expect(page.get_by_role("link", name=name_of(shown))).to_be_visible()


def test_an_alias_that_moved_is_there_after_a_reload(page, address, shown):
    promote(shown, CLASSIFIER, 1)
    open_model(page, address, CLASSIFIER)
    expect(version_row(page, 1)).to_contain_text("champion")
    promote(shown, CLASSIFIER, 2)
    page.reload()
    expect(version_row(page, 2)).to_contain_text("champion")
    expect(version_row(page, 1)).not_to_contain_text("champion")
