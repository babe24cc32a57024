"""The data check of what labels stand for: names of classes and superclasses, and sets without labels."""

import json

import pytest
from helpers.faulty_sets import (
    COARSE,
    COUNTS,
    break_training_meta,
    clean_set,
    folder_of,
    hole_in_superclasses,
    nobody_in_scales,
    params,
    remove_meta,
    rename_a_class,
    two_names,
    write_set,
)

from convzoo.validation.validate import InvalidDataError, validate

UNREADABLE = "unreadable file, expected a whole file, got"
ANOTHER = "other class names than the set's, expected"
WITHOUT_IMAGES = "missing superclass: images, expected at least 1, got 0"

# What breaks the meta.json of a data set, and all that must be said of it.
FAULTS = {
    remove_meta: [f"prepared meta.json: {UNREADABLE} no such file"],
    break_training_meta: [
        f"prepared train/meta.json: {UNREADABLE} a file that is no meta.json (classes: expected a list of names)"
    ],
    two_names: [f"prepared meta.json: {ANOTHER} 3 names, got 2 names"],
    rename_a_class: [
        f"prepared train/meta.json: {ANOTHER} 1 'dog', got 1 'hund'",
        "prepared train/meta.json: wrong shape, expected (6, 5, 1), got (6, 5, 3)",
    ],
    hole_in_superclasses: [
        "prepared meta.json: superclass of each class, expected 0 to 1, "
        "got 2 for class 1 'dog', nothing for class 2 'owl'",
        *(f"{split} superclass 1 'feathers' (1 of 2): {WITHOUT_IMAGES}" for split in COUNTS),
    ],
    nobody_in_scales: [f"{split} superclass 2 'scales' (1 of 3): {WITHOUT_IMAGES}" for split in COUNTS],
}


def said(root, checked):
    """The lines of a failed check, but for the last one, which says what to do."""
    with pytest.raises(InvalidDataError) as raised:
        validate(checked, root)
    return str(raised.value).splitlines()[:-1]


def details(root, dataset):
    return json.loads((root / f"reports/data/{dataset}.json").read_text())


def test_a_fault_of_meta_json_is_named_with_what_was_expected_and_nothing_else_is_said(tmp_path):
    names = [fault.__name__.replace("_", "-") for fault in FAULTS]
    for dataset, fault in zip(names, FAULTS, strict=True):
        write_set(tmp_path, dataset, clean_set())
        fault(folder_of(tmp_path, dataset, "train"))
    expected = [f"{name}/{line}" for name, lines in zip(names, FAULTS.values(), strict=True) for line in lines]
    assert sorted(said(tmp_path, params(*names))) == sorted(expected)


def test_a_set_without_labels_one_with_names_of_its_own_and_one_with_superclasses_pass(tmp_path):
    plain = clean_set()
    for held in plain.values():
        held["labels"][:] = 0
    write_set(tmp_path, "faces", plain, classes=[])
    write_set(tmp_path, "named", clean_set(), classes=["a", "b", "c"])
    write_set(tmp_path, "coarse", clean_set(), **COARSE)
    verdicts = validate(params("coarse", faces=[], named="source"), tmp_path)
    assert all(verdict["passed"] for verdict in verdicts.values())
    titles = {name: {check["check"] for check in details(tmp_path, name)["checks"]} for name in verdicts}
    assert "label in a set without classes" in titles["faces"] and "missing class: images" not in titles["faces"]
    assert {"missing superclass: images", "superclass of each class"} <= titles["coarse"] - titles["named"]
    assert {"missing class: images", "label out of range"} <= titles["named"]


def test_labels_in_a_set_without_classes_are_said(tmp_path):
    write_set(tmp_path, "faces", clean_set(), classes=[])
    label = "label in a set without classes, expected 0, got 1, 2"
    assert said(tmp_path, params(faces=[])) == [
        f"faces/train rows 1, 2, 4, 5, 7, ... (20 of 30): {label}",
        f"faces/val rows 1, 2, 4, 5, 7, ... (6 of 9): {label}",
        f"faces/test rows 1, 2, 4, 5, 7, ... (6 of 9): {label}",
        f"faces/augmented rows 1, 2, 4, 5, 7, ... (20 of 30): {label}",
    ]


def test_images_whose_labels_no_file_names_are_not_looked_into(tmp_path):
    write_set(tmp_path, "nameless", clean_set())
    for file in folder_of(tmp_path, "nameless", "").rglob("meta.json"):
        file.unlink()
    lines = said(tmp_path, params(nameless="source"))
    assert lines == [f"nameless/prepared meta.json, train/meta.json: {UNREADABLE} no such file"]
    report = details(tmp_path, "nameless")
    assert report["not_looked_into"] == ["train", "val", "test", "augmented"] and report["images"] == {}
