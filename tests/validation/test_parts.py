"""Large sets are checked in parts, with the findings of a check of all at once; broken shards are named."""

import json
import re
from pathlib import Path

import pytest
from helpers.faulty_sets import (
    another_label,
    blank,
    change_a_label,
    change_a_pixel,
    clean_set,
    folder_of,
    labels_outside,
    originals_elsewhere,
    params,
    train_image_in_row_2,
    twice,
    val_image_in_row_9,
    write_set,
)
from helpers.sharded import move_to_shards

from convzoo.validation import image_rows
from convzoo.validation.validate import InvalidDataError, validate


def same_id(held):
    held["ids"][6] = held["ids"][1]


def reports(root: Path, *names: str) -> list[dict]:
    return [json.loads((root / "reports/data" / f"{name}.json").read_text()) for name in names]


def test_in_parts_every_fault_is_found_and_reported_as_in_a_check_of_all_images(tmp_path, monkeypatch):
    faults = {
        "first": {"train": [twice, same_id], "val": [train_image_in_row_2], "augmented": [originals_elsewhere]},
        "second": {"train": [blank(*range(8))], "augmented": [val_image_in_row_9, another_label], "test": [same_id]},
        "third": {"train": [labels_outside]},
    }
    for name, broken in faults.items():
        made = clean_set()
        for split, each in broken.items():
            for fault in each:
                fault(made[split])
        write_set(tmp_path, name, made)
    change_a_pixel(folder_of(tmp_path, "third", "val"))
    change_a_label(folder_of(tmp_path, "third", "augmented"))
    with pytest.raises(InvalidDataError) as whole:
        validate(params(*faults), tmp_path)
    expected = reports(tmp_path, *faults)
    assert len(str(whole.value).splitlines()) > 10

    monkeypatch.setattr(image_rows, "PART_ROWS", 40)
    with pytest.raises(InvalidDataError) as in_parts:
        validate(params(*faults), tmp_path)
    assert str(in_parts.value) == str(whole.value)
    assert reports(tmp_path, *faults) == expected


def test_a_part_has_all_copies_of_an_image_and_every_image_is_in_one_part(tmp_path, monkeypatch):
    made = clean_set()
    twice(made["train"])
    train_image_in_row_2(made["val"])
    write_set(tmp_path, "made", made)
    images = {split: image_rows.observe_images(folder_of(tmp_path, "made", split), split) for split in made}
    monkeypatch.setattr(image_rows, "PART_ROWS", 10)
    tables = list(image_rows.image_tables(images))
    assert len(tables) == image_rows.parts_of(images) == 8
    places = [[*zip(table["split"], table["named"], strict=True)] for table in tables]
    assert sorted(place for part in places for place in part) == sorted(
        (split, row) for split, held in made.items() for row in range(len(held["ids"]))
    )
    for copies in ({("train", 1), ("train", 3)}, {("train", 7), ("val", 2)}):
        assert [len(copies & set(part)) for part in places if copies & set(part)] == [2]


def test_images_in_shards_have_the_report_and_verdict_of_the_same_images_in_arrays(tmp_path, monkeypatch):
    for name in ("arrays", "shards"):
        write_set(tmp_path, name, clean_set())
    move_to_shards(folder_of(tmp_path, "shards", "train").parent, monkeypatch)
    verdicts = validate(params("arrays", "shards"), tmp_path)
    assert verdicts["shards"] == verdicts["arrays"] | {"dataset": "shards"}
    for report in reports(tmp_path, "arrays", "shards"):
        assert [check for check in report["checks"] if check["unit"] != "file" and not check["passed"]] == []


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-512])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[700] ^= 1
    file.write_bytes(content)


def test_broken_shards_are_named(tmp_path, monkeypatch):
    write_set(tmp_path, "made", clean_set())
    move_to_shards(folder_of(tmp_path, "made", "train").parent, monkeypatch, block=3)
    cut(folder_of(tmp_path, "made", "train") / "00001.tar")
    flip_a_bit(folder_of(tmp_path, "made", "train") / "00002.tar")
    (folder_of(tmp_path, "made", "test") / "00000.tar").unlink()
    (folder_of(tmp_path, "made", "val") / "index.json").write_text("{}")
    with pytest.raises(InvalidDataError) as raised:
        validate(params("made"), tmp_path)
    *lines, remedy = str(raised.value).splitlines()
    assert len(lines) == 3 and "rebuild damaged files (convzoo repro -f prepare augment)" in remedy
    for line, message in zip(
        sorted(lines),
        (
            r"made/test 00000.tar: unreadable file, expected a whole file, got no such file",
            r"made/train 00001.tar, 00002.tar: unreadable file, expected a whole file, got a file of another size "
            r"\(\d+ bytes in place of \d+\), a file that is not as index.json describes",
            r"made/val index.json: unreadable file, expected a whole file, got a file that is no index \(.*",
        ),
        strict=True,
    ):
        assert re.fullmatch(message, line)
