"""The report: one page with everything in it, the same for the same files."""

import base64
import contextlib
import hashlib
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.html_page import Page
from helpers.report_files import make_files
from PIL import Image

from convzoo.errors import ConvzooError
from convzoo.files import write_json
from convzoo.report.report import write_report
from convzoo.settings.load import read_params


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files of a zoo, and its report; not to be changed."""
    folder = tmp_path_factory.mktemp("zoo")
    with contextlib.chdir(folder):
        make_files()
        written()
    return folder


@pytest.fixture
def text(made, monkeypatch):
    """The page, in the zoo's folder."""
    monkeypatch.chdir(made)
    return Path("reports/index.html").read_text(encoding="utf-8")


@pytest.fixture
def copy(made, tmp_path, monkeypatch):
    """A copy of the zoo that may be changed."""
    shutil.copytree(made, tmp_path / "a copy")
    monkeypatch.chdir(tmp_path / "a copy")


def written():
    write_report(read_params())
    return Path("reports/index.html").read_text(encoding="utf-8")


def pixels_of(image):
    with Image.open(image) as opened:
        return np.asarray(opened.convert("RGB")).astype(float)


def test_every_picture_is_inside_the_page_and_described(text):
    pictures = [
        *Path("models").glob("*/plots/*.png"),
        *Path("models").glob("*/plots/*.gif"),
        *Path("data/augmented").glob("*/*.png"),
    ]
    assert len(pictures) == 11
    images = [image for image in Page(text).all("img") if "pixels" in image.get("class", "")]  # small ones are enlarged
    assert len(images) == len(pictures)
    shown = [pixels_of(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) for image in images]
    for picture in pictures:
        assert any(np.array_equal(pixels_of(picture), pixels) for pixels in shown), picture
    for image in Page(text).all("img"):
        assert image["alt"].endswith((".", "does"))
        assert image["src"].startswith("data:image/webp;base64,")
    assert "painter: Growth." in [image["alt"] for image in images]
    assert "first: What the network predicts for the test images of each class; the diagonal is correct." in [
        image["alt"] for image in images
    ]


def test_every_figure_has_a_caption_that_is_a_sentence(text):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text, re.DOTALL)
    assert len(captions) == text.count("<figure") == 14
    for caption in captions:
        assert re.fullmatch(r"[A-Z].*[.?]", caption), caption


def test_the_page_opens_with_a_card_for_each_network(text):
    cards = text.partition('<ul class="cards">')[2].partition("</ul>")[0]
    assert re.findall(r'<a href="#network-(\w+)">', cards) == ["first", "painter", "second"]
    words = " ".join(Page(cards).text.split())
    assert words.count("95.0 % accuracy on the test images; higher is better confidence interval 90.0 to 97.5 %") == 2
    task = "Classifies images of the data set shapes into 2 classes (round, square)."
    assert f"{task} Guessing one of 2 classes reaches 50.0 %." in words
    assert cards.count(">good</span>") == 2 and cards.count(">not rated</span>") == 1
    assert "trained 3 networks on 3 data sets: 2 are good, 1 is not rated (painter)." in Page(text).text
    places = [text.index(part) for part in ('class="cards"', 'id="network-first"', 'id="data"', 'id="tables"')]
    assert places == sorted(places)


def test_the_words_of_the_ratings_and_where_champions_are_listed_stand_above_the_cards(text):
    above = text.partition('<ul class="cards">')[0]
    assert all(f"<b>{word}</b> networks" in above for word in ("Good", "Weak", "Failed"))
    assert "<code>convzoo models</code> lists all registered versions" in above


def test_a_broad_figure_says_on_a_narrow_page_that_it_scrolls(text):
    narrow = re.search(r"@media \(max-width: 40rem\) \{ \.broad img.*", text)[0]
    assert "width: 40rem" in narrow and '.broad .wide::after { content: "scroll to see all of it' in narrow


def test_a_network_that_failed_says_so_first(copy):
    metrics = {"test_accuracy": 0.52, "test_accuracy_low": 0.5, "test_accuracy_high": 0.54, "test_images": 2000}
    write_json(Path("models/second/evaluation.json"), metrics)
    page = Page(written()).text
    assert "1 is good, 1 failed (second), 1 is not rated (painter)." in page
    assert page.index("The training failed: no better than always predicting") < page.index("Weaknesses")


def test_the_target_of_a_promotion_and_the_confidence_are_those_of_params(copy):
    with Path("params.yaml").open("a") as params:
        params.write("promotion: {first: {floors: {accuracy: 0.96}}}\nevaluation: {first: {confidence: 0.9}}\n")
    page = Page(written()).text
    assert "It misses its target of at least 96.00 %." in page and "1 is weak (first)" in page
    assert "90 % confidence interval 90.0 to 97.5 %" in page


def test_the_page_loads_nothing_from_elsewhere(text):
    page = Page(text)
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "href", "data", "action", "poster", "background"):
            if name in attributes and tag != "a":  # a link is to click, it loads nothing
                assert attributes[name].startswith("data:")
    assert not page.all("script")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    assert "url(" not in style and "@import" not in style
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_the_same_files_give_the_same_bytes_wherever_they_are(copy, text, made, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path / "a copy")
    Path("reports/index.html").unlink()
    assert written() == text
    assert str(made.parent) not in text
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d", Page(text).text)


def test_networks_and_data_sets_are_those_with_files_sorted_by_name(text):
    ids = [section["id"] for section in Page(text).all("section")]
    networks = [f"network-{name}" for name in ("first", "painter", "second")]
    datasets = [f"data-{name}" for name in ("noise", "shapes", "unused")]
    assert ids == [*networks, *datasets, "tables", *(f"{name}-tables" for name in networks + datasets)]


def test_every_link_of_the_contents_leads_somewhere(text):
    page = Page(text)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    targets = {link["href"][1:] for link in page.all("a") if link["href"].startswith("#")}
    assert targets <= ids
    assert {"tables", "network-first", "data-noise", "network-first-tables"} <= targets


def test_no_link_leads_to_another_file(text):
    links = {link["href"] for link in Page(text).all("a") if not link["href"].startswith("#")}
    assert links == {"https://example.org/shapes"}


def test_results_have_the_interval_the_size_and_the_parameters(text):
    words = Page(text).text
    assert "95.00 %\n90.00 % to 97.50 %" in words
    assert "1.23 MB" in words
    assert "1,200" in words  # 40 x 30, without the running mean
    assert "31.42" in words


def test_what_is_drawn_is_marked_in_the_results_at_its_networks_and_at_the_set(text):
    # On its card, at the network, the set and their tables, and in the table of all networks.
    assert text.count("drawn by convzoo,") == 6
    assert "painter\nnoise\ndrawn by convzoo,\nnot the real set" in Page(text).text
    for title in ("network-painter", "data-noise"):
        [heading] = re.findall(rf'<h2 id="{title}-title">(.*?)</h2>', text)
        assert "drawn by convzoo, not the real set" in heading
    assert "first\nshapes\n" not in Page(text).text  # nothing is said of a real one


def test_superclasses_are_told_with_their_classes(text):
    rows = dict(re.findall(r'<tr><th scope="row">(superclasses\.\w+)</th><td>(.*?)</td></tr>', text))
    assert rows == {"superclasses.high": "hiss", "superclasses.low": "hum, roar"}


def test_a_set_without_variants_or_without_networks_has_its_pictures_and_checks(text):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert captions.count("Train images before and after augmentation: each with its stored variants.") == 1
    assert captions.count("Train images, of which no variants are stored.") == 2
    assert [image["alt"] for image in Page(text).all("img")][
        -1
    ] == "unused: Train images, of which no variants are stored."


def test_another_family_has_a_table_of_its_own(text):
    headings = [part for part in re.findall(r"<h3>(.*?)</h3>", text) if part in ("classifier", "dreamer")]
    assert headings == ["classifier", "dreamer"]


def test_origins_are_told(text):
    words = Page(text).text
    for part in ("MIT & friends", "cd" * 32, hashlib.sha256(b"first").hexdigest(), "1" * 64, "321", "torch", "2.14.1"):
        assert part in words


def test_checks_that_failed_stand_out(text):
    assert "checks: 1, none failed" in text
    assert "checks: 2, 1 failed" in text
    assert len([row for row in Page(text).all("tr") if row.get("class") == "failed"]) == 1
    assert "17, 23" in text


def test_text_from_files_is_escaped(text):
    assert "<b>cat</b>" not in text
    assert "&lt;b&gt;cat&lt;/b&gt;" in text


@pytest.mark.parametrize(
    "path",
    [
        "models/first/evaluation.json",
        "models/first/history.csv",
        "models/first/weights.safetensors",
        "reports/data/shapes.json",
    ],
)
def test_a_missing_file_is_named(copy, path):
    Path(path).unlink()
    with pytest.raises(ConvzooError, match=re.escape(path)):
        written()


def test_a_broken_picture_is_named(copy):
    Path("models/first/plots/confusion.png").write_bytes(b"not a picture")
    with pytest.raises(ConvzooError, match=r"models/first/plots/confusion\.png: is not a picture"):
        written()


def test_a_network_whose_data_set_is_gone_is_named_with_what_to_do(copy):
    Path("reports/data/noise.json").unlink()
    with pytest.raises(ConvzooError, match=r"models/painter: was trained on noise, expected .* or remove the folder"):
        written()


def test_a_folder_of_what_is_not_cached_is_no_network(copy, text):
    left = Path("models/removed/card.md")
    left.parent.mkdir()
    left.write_text("# removed")
    assert written() == text
