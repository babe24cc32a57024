"""The data check on small real folders: what is well passes, and each fault is named."""

import json
import re
import runpy
import sys

import numpy as np
import pytest
from helpers.faulty_sets import (
    AFTERWARDS,
    BLOCK,
    COUNTS,
    another_label,
    blank,
    change_a_label,
    change_a_pixel,
    clean_set,
    coloured,
    cut_header,
    cut_pixels,
    drop_a_label,
    drop_column,
    floats,
    folder_of,
    keep,
    labels_outside,
    low,
    narrow,
    no_channels,
    nothing_left,
    one_dog_left,
    only_five,
    originals_elsewhere,
    params,
    remove_manifest,
    scaled_away,
    short_labels,
    train_image_in_row_2,
    twice,
    val_image_in_row_9,
    without_owls,
    write_set,
)
from helpers.project import ROOT, link_code

from convzoo.checks.code import code_file, stage_inputs
from convzoo.data.arrays import digest, load_split
from convzoo.files import write_json
from convzoo.settings.load import read_params
from convzoo.validation import image_rows
from convzoo.validation.validate import InvalidDataError, validate

ENTRY = ROOT / "pipeline" / "validate.py"


UNREADABLE = "unreadable file, expected a whole file, got"
BLANK = "blank image: standard deviation of grey levels, expected at least 2, got"
HELD = "image in two splits: other split that holds it, expected none, got"
HELD_OUT = "variant that equals a held-out image: split that holds it too, expected none, got"
OUTSIDE = "variant of an image outside train: split of its original, expected train, got"
CHANGED = "changed after it was written"

# Data set, split, what breaks it (or None: broken by the one before), and the line that must say so. A data set has
# faults that cannot hide each other, so that one run finds them all. DIGEST and REASON stand for what varies.
FAULTS = [
    ("shapes", "train", low, "images.npy (all 30 rows): wrong shape, expected (30, 6, 5, 1), got (30, 5, 5, 1)"),
    ("shapes", "val", coloured, "images.npy (all 9 rows): wrong shape, expected (9, 6, 5, 1), got (9, 6, 5, 3)"),
    ("shapes", "test", narrow, "images.npy (all 9 rows): wrong shape, expected (9, 6, 5, 1), got (9, 6, 4, 1)"),
    ("types", "train", floats, "images.npy (all 30 rows): wrong type, expected uint8, got float32"),
    ("types", "val", short_labels, "labels.npy (all 9 rows): wrong type, expected int64, got int32"),
    ("types", "test", no_channels, "images.npy (all 9 rows): wrong shape, expected (9, 6, 5, 1), got (9, 6, 5)"),
    ("cut", "augmented", cut_pixels, f"images.npy: {UNREADABLE} a file that is cut short or no .npy REASON"),
    ("cut", "val", cut_header, f"labels.npy: {UNREADABLE} a file that is cut short or no .npy REASON"),
    ("cut", "test", remove_manifest, f"manifest.csv: {UNREADABLE} no such file"),
    (
        "rows",
        "train",
        drop_a_label,
        "labels.npy (all 29 rows): wrong number of rows, expected 30, as many as images, got 29",
    ),
    ("rows", "val", drop_column, f"manifest.csv: {UNREADABLE} a file that is no manifest REASON"),
    ("classes", "val", without_owls, "class 2 'owl' (1 of 3): missing class: images, expected at least 1, got 0"),
    (
        "classes",
        "test",
        one_dog_left,
        "class 1 'dog' (1 of 3): rare class: share of an even split, expected at least 0.5, got 0.4286",
    ),
    ("images", "train", blank(3, 17, 22), f"rows 3, 17, 22 (3 of 30): {BLANK} 0.0"),
    ("images", "val", only_five, "too few images, expected at least 6, got 5"),
    ("images", "test", blank(8), f"row 8 (1 of 9): {BLANK} 0.0"),
    ("images", "augmented", blank(*range(8)), f"rows 0, 1, 2, 3, 4, ... (8 of 30): {BLANK} 0.0"),
    ("labels", "val", labels_outside, "rows 4, 5 (2 of 9): label out of range, expected 0 to 2, got 3, -1"),
    ("labels", "test", scaled_away, f"rows 0, 1, 2, 3, 4, ... (9 of 9): {BLANK} 0.5"),
    ("labels", "test", None, "grey levels scaled away: brightest of all, expected 2 to 255, got 1"),
    ("two-splits", "test", train_image_in_row_2, f"row 2 (1 of 9): {HELD} train"),
    ("two-splits", "train", None, f"row 7 (1 of 30): {HELD} test"),
    ("two-splits", "val", twice, "rows 1, 3 (2 of 9): same image twice: sha256, expected each image once, got DIGEST"),
    ("two-splits", "augmented", val_image_in_row_9, f"row 9 (1 of 30): {HELD_OUT} val"),
    ("variants", "augmented", originals_elsewhere, f"rows 5, 6, 7 (3 of 30): {OUTSIDE} test, val, unknown"),
    (
        "changed",
        "val",
        change_a_pixel,
        f"row 4 (1 of 9): {CHANGED}: sha256, expected DIGEST as in manifest.csv, got DIGEST",
    ),
    ("changed", "test", change_a_label, f"row 4 (1 of 9): {CHANGED}: label, expected 1 as in manifest.csv, got 2"),
    (
        "changed",
        "augmented",
        another_label,
        "row 0 (1 of 30): variant with another label than its original, expected 0 as its original, got 2",
    ),
    ("empty", "test", nothing_left, "too few images, expected at least 6, got 0"),
    (
        "empty",
        "test",
        None,
        "classes 0 'cat', 1 'dog', 2 'owl' (3 of 3): missing class: images, expected at least 1, got 0",
    ),
]
BROKEN = list(dict.fromkeys(dataset for dataset, *_ in FAULTS))


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """All broken sets and a clean one, checked in one run: the folder and the lines of the message."""
    root = tmp_path_factory.mktemp("broken")
    for dataset in [*BROKEN, "clean"]:
        breaks = [(split, fault) for name, split, fault, _ in FAULTS if name == dataset and fault]
        made = clean_set()
        for split, fault in breaks:
            if fault not in AFTERWARDS:
                fault(made[split])
        write_set(root, dataset, made)
        for split, fault in breaks:
            if fault in AFTERWARDS:
                fault(folder_of(root, dataset, split))
    verdict = root / "data" / "validated" / "classes.json"
    verdict.parent.mkdir()
    verdict.write_text("{}")  # of an earlier run, when all was well
    with pytest.raises(InvalidDataError) as raised:
        validate(params(*BROKEN, "clean"), root)
    return root, str(raised.value).splitlines()


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A clean set and one without variants, checked: the folder and the verdicts."""
    root = tmp_path_factory.mktemp("clean")
    write_set(root, "pets", clean_set())
    without = clean_set()
    keep(without["augmented"], range(0))
    write_set(root, "unvaried", without)
    return root, validate(params("pets", "unvaried"), root)


def test_a_clean_set_passes_and_its_files_say_so(clean):
    root, verdicts = clean
    verdict = json.loads((root / "data/validated/pets.json").read_text())
    assert verdict == verdicts["pets"]
    assert set(verdict) == {"dataset", "passed", "train", "val", "augmented"}
    assert verdict["dataset"] == "pets" and verdict["passed"] is True
    report = json.loads((root / "reports/data/pets.json").read_text())
    assert report["passed"] and report["images"] == COUNTS | {"augmented": 30} and report["not_looked_into"] == []
    assert all(check["unexpected"] == 0 and check["rows"] == [] for check in report["checks"])
    assert {check["split"] for check in report["checks"]} == {"prepared", "train", "val", "test", "augmented"}


def test_a_set_without_variants_passes(clean):
    root, verdicts = clean
    report = json.loads((root / "reports/data/unvaried.json").read_text())
    assert verdicts["unvaried"]["passed"] and report["images"]["augmented"] == 0


def test_pixels_are_read_in_parts_of_any_size(tmp_path, monkeypatch):
    write_set(tmp_path, "pets", clean_set())
    whole = validate(params("pets"), tmp_path)
    details = (tmp_path / "reports/data/pets.json").read_bytes()
    monkeypatch.setattr(image_rows, "CHUNK_BYTES", 100)  # three images
    assert validate(params("pets"), tmp_path) == whole
    assert (tmp_path / "reports/data/pets.json").read_bytes() == details
    for split in ("train", "val", "augmented"):
        assert whole["pets"][split] == digest(load_split(folder_of(tmp_path, "pets", split)))


def test_data_docs_are_pages_for_each_set_without_the_folder_they_were_built_in(clean):
    docs = clean[0] / "reports" / "data_docs"
    pages = list(docs.rglob("*.html"))
    assert len(pages) == 9  # the index, and files, splits, classes and images of two sets
    index = (docs / "index.html").read_text()
    assert ".data_docs.new" not in index
    links = dict(re.findall(r'<li><a href="(validations/[^"]*)">([^<]*)</a>', index))  # need no scripts
    assert sorted(links.values()) == sorted(
        f"{name}-{table}" for name in ("pets", "unvaried") for table in ("files", "splits", "classes", "images")
    )
    assert all((docs / link).is_file() for link in links)


def test_a_second_run_gives_the_same_bytes_and_test_does_not_touch_the_verdict(clean):
    root, before = clean
    files = [*(root / "data/validated").iterdir(), *(root / "reports/data").iterdir()]
    bytes_before = {file: file.read_bytes() for file in files}
    pages = len(list((root / "reports/data_docs").rglob("*.html")))
    changed = clean_set()
    changed["test"]["images"][0, 0, 0, 0] ^= 255
    keep(changed["test"], range(8))
    write_set(root, "unvaried", changed)  # its variants are back, too
    after = validate(params("pets", "unvaried"), root)
    for file, content in bytes_before.items():
        assert (file.read_bytes() == content) == file.name.startswith("pets"), file
    assert len(list((root / "reports/data_docs").rglob("*.html"))) == pages
    assert after["pets"] == before["pets"]
    for split in ("train", "val"):
        assert after["unvaried"][split] == before["unvaried"][split]
    assert after["unvaried"]["augmented"] == before["pets"]["augmented"] != before["unvaried"]["augmented"]


def told(line):
    """A line with what varies taken out."""
    line = re.sub(r"[0-9a-f]{12}\.\.\.", "DIGEST", line)
    return re.sub(r"(no \.npy|no manifest) \(.*\)$", r"\1 REASON", line)


def said_of(dataset, split, line):
    """What is said of a whole split names no rows."""
    return f"{dataset}/{split}{':' * line.startswith(('too few', 'grey levels'))} {line}"


@pytest.mark.parametrize(("dataset", "split", "fault", "line"), FAULTS)
def test_a_fault_is_named_with_set_split_rows_and_what_was_expected(broken, dataset, split, fault, line):
    assert said_of(dataset, split, line) in [told(said) for said in broken[1]]


def test_nothing_else_is_said_but_once_what_to_do(broken):
    *lines, remedy = broken[1]
    assert sorted(map(told, lines)) == sorted(said_of(dataset, split, line) for dataset, split, _, line in FAULTS)
    assert "reports/data_docs/index.html" in remedy and "data.images.validate" in remedy and "convzoo repro" in remedy
    assert "clean" not in remedy


def test_no_verdict_is_left_when_a_set_fails_but_details_and_docs_are(broken):
    root = broken[0]
    assert not list((root / "data").glob("validated/*"))
    for dataset in BROKEN:
        assert json.loads((root / f"reports/data/{dataset}.json").read_text())["passed"] is False
    assert json.loads((root / "reports/data/clean.json").read_text())["passed"] is True
    assert (root / "reports/data_docs/index.html").is_file()


def test_a_report_names_no_more_rows_than_asked(broken):
    report = json.loads((broken[0] / "reports/data/images.json").read_text())
    [blank_variants] = [check for check in report["checks"] if check["split"] == "augmented" and not check["passed"]]
    assert blank_variants["rows"] == [0, 1, 2, 3, 4] and blank_variants["unexpected"] == 8
    assert blank_variants["checked"] == 30 and blank_variants["expectation"] == "expect_column_values_to_be_between"


def test_of_many_failures_all_are_counted_and_the_first_are_named(tmp_path):
    made = clean_set()
    made["augmented"] = {
        "images": np.zeros((300, *made["train"]["images"].shape[1:]), np.uint8),
        "labels": np.tile(made["train"]["labels"], 10),
        "ids": [f"variant-{row}" for row in range(300)],
        "originals": made["train"]["ids"] * 10,
    }
    write_set(tmp_path, "pets", made)
    with pytest.raises(InvalidDataError) as raised:
        validate(params("pets"), tmp_path)
    line, _ = str(raised.value).splitlines()
    assert line == f"pets/augmented rows 0, 1, 2, 3, 4, ... (300 of 300): {BLANK} 0.0"


def test_images_of_a_broken_array_are_reported_as_not_looked_into(broken):
    report = json.loads((broken[0] / "reports/data/rows.json").read_text())
    assert report["not_looked_into"] == ["train", "val", "augmented"] and list(report["images"]) == ["test"]


def test_the_entry_checks_the_sets_of_params_yaml_and_exits_with_1(tmp_path, monkeypatch, capsys):
    write_set(tmp_path, "pets", clean_set())
    cut_pixels(folder_of(tmp_path, "pets", "test"))
    (tmp_path / "params.yaml").write_text(json.dumps({"data": {"pets": BLOCK}}))
    link_code(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_json(code_file("validate"), stage_inputs("validate", None, read_params()))
    monkeypatch.setattr(sys, "argv", [str(ENTRY)])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(ENTRY), run_name="__main__")
    said = capsys.readouterr()
    assert left.value.code == 1 and said.out == ""
    assert said.err.startswith(f"error: pets/test images.npy: {UNREADABLE} a file that is cut short")
