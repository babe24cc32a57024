"""CIFAR's archives in their published form: what is read of them, and what is said of others."""

import tracemalloc

import numpy as np
import pytest
from helpers.cifar_files import (
    BIN10,
    BIN100,
    COARSE,
    COLOUR,
    FINE,
    LIMITS,
    PARENTS,
    ROWS,
    TEN,
    TEST,
    TRAIN,
    hundred,
    lines,
    pixels,
    raw,
    read,
    records,
    ten,
)
from helpers.raw_sets import gathered, prepared, tar, zipped

from convzoo.data.formats import parts
from convzoo.data.prepare import prepare
from convzoo.errors import ConvzooError


def images_of(planes):
    """Red, green and blue planes as one image, pixel by pixel."""
    return planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("part_bytes", [1 << 22, 7000, 1])
def test_cifar_10_comes_in_the_order_of_its_batches_with_red_green_and_blue_last(tmp_path, monkeypatch, part_bytes):
    monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
    published = read(raw(tmp_path / "raw", ten()))
    assert (published.classes, published.superclasses, published.superclass_of) == (TEN, [], [])
    splits = gathered(published)
    assert list(splits) == ["train", "test"]
    ids, images, labels = splits["train"]
    assert ids == [f"data_batch_{number}/0000{row}" for number in range(1, 6) for row in range(ROWS)]
    planes = np.concatenate([pixels(seed) for seed in range(5)]).reshape(-1, 3, 32, 32)
    for channel in range(3):
        np.testing.assert_array_equal(images[..., channel], planes[:, channel])
    assert labels.tolist() == [(seed + row) % 10 for seed in range(5) for row in range(ROWS)]
    ids, images, labels = splits["test"]
    assert ids == [f"test_batch/0000{row}" for row in range(ROWS)] and labels.tolist() == [5, 6, 7, 8]
    np.testing.assert_array_equal(images, images_of(pixels(5)))


@pytest.mark.parametrize("part_bytes", [1 << 22, 7000, 1])
def test_cifar_100_has_fine_labels_and_the_superclass_of_each_class(tmp_path, monkeypatch, part_bytes):
    monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
    published = read(raw(tmp_path / "raw", hundred()))
    assert (published.classes, published.superclasses, published.superclass_of) == (FINE, COARSE, PARENTS)
    splits = gathered(published)
    for split, labels, seed in (("train", TRAIN, 1), ("test", TEST, 2)):
        assert splits[split][0] == [f"{split}/{row:05d}" for row in range(len(labels))]
        np.testing.assert_array_equal(splits[split][1], images_of(pixels(seed, len(labels))))
        assert splits[split][2].tolist() == labels


def test_ids_labels_and_pixels_stay_together_in_what_is_prepared(tmp_path):
    count = 12
    prepare("made", COLOUR, raw(tmp_path / "raw", ten(count)), tmp_path / "out")
    batches = {f"data_batch_{seed + 1}": seed for seed in range(5)} | {"test_batch": 5}
    found = {}
    for images, labels, rows in prepared(tmp_path / "out")[0].values():
        for image, label, row in zip(images, labels, rows, strict=True):
            batch, number = row["id"].split("/")
            found[row["id"]] = label
            assert label == (batches[batch] + int(number)) % 10
            np.testing.assert_array_equal(image, images_of(pixels(batches[batch], count))[int(number)])
    assert len(found) == 6 * count


def test_an_archive_packed_in_another_way_gives_the_same(tmp_path):
    expected = gathered(read(raw(tmp_path / "raw", hundred())))
    again = raw(tmp_path / "again", {})
    (again / "cifar.tar.gz").unlink()
    zipped(again / "cifar.zip", sorted(hundred().items()))
    found = gathered(read(again))
    for split in expected:
        for one, other in zip(expected[split], found[split], strict=True):
            np.testing.assert_array_equal(one, other)


def test_superclasses_stand_in_meta_json_and_not_in_what_a_training_reads(tmp_path):
    every = list(range(100))
    files = hundred(fine=every * 4, test=every)
    prepare("made", COLOUR, raw(tmp_path / "raw", files), tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert (meta["classes"], meta["superclasses"], meta["superclass_of"]) == (FINE, COARSE, PARENTS)
    assert "superclass_of" not in (tmp_path / "out/train/meta.json").read_text()
    assert sum(len(split[0]) for split in splits.values()) == 500 and len(splits["test"][0]) == 100
    prepare("made", COLOUR.model_copy(update={"classes": []}), tmp_path / "raw", tmp_path / "unlabelled")
    splits, meta = prepared(tmp_path / "unlabelled")
    assert meta["classes"] == [] and "superclasses" not in meta and not any(splits["train"][1])


def test_classes_in_a_list_must_be_the_published_ones_in_their_order(tmp_path):
    folder = raw(tmp_path / "raw", ten())
    assert read(folder, COLOUR.model_copy(update={"classes": TEN})).classes == TEN
    with pytest.raises(ConvzooError, match=r"its classes are class 0, class 1, .*got class 9, class 8"):
        read(folder, COLOUR.model_copy(update={"classes": TEN[::-1]}))


WHOLE = hundred()[f"{BIN100}train.bin"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes, expected records of 3074 bytes each"),
        (WHOLE[:-1], f"has {105 * 3074 - 1} bytes, expected records of 3074 bytes each"),
        (WHOLE + b"x", f"has {105 * 3074 + 1} bytes, expected records of 3074"),
        (records(pixels(0, 105), TRAIN), "has 322665 bytes, expected records of 3074 bytes each"),  # of CIFAR-10
        (records(pixels(0, 3), [0, 7, 14], [0, 1, 100]), "record 2 has the label 100 in byte 1, expected 0 to 99"),
        (records(pixels(0, 3), [0, 20, 255], [0, 1, 2]), "record 1 has the label 20 in byte 0, expected 0 to 19"),
    ],
)
@pytest.mark.parametrize("part_bytes", [1 << 22, 1])
def test_records_that_are_not_as_published_are_named(tmp_path, monkeypatch, content, message, part_bytes):
    monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
    with pytest.raises(ConvzooError, match=rf"cifar.tar.gz: {BIN100}train.bin: {message}"):
        read(raw(tmp_path / "raw", hundred() | {f"{BIN100}train.bin": content}))


def test_a_label_out_of_range_in_the_last_batch_of_cifar_10_stops_the_run(tmp_path):
    files = ten() | {f"{BIN10}test_batch.bin": records(pixels(5), [9, 9, 10, 255])}
    message = r"test_batch.bin: record 2 has the label 10 in byte 0, expected 0 to 9; use the published"
    with pytest.raises(ConvzooError, match=message):
        prepare("made", COLOUR, raw(tmp_path / "raw", files), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("fine", "coarse", "message"),
    [
        (TRAIN, [8, *(PARENTS[label] for label in TRAIN[1:])], "the class fine 0 are in the superclasses coarse 0, c"),
        (TRAIN[:99], None, "images of the class fine 97 are in the superclasses none, expected one"),
    ],
)
def test_a_class_that_is_not_in_one_superclass_is_named(tmp_path, fine, coarse, message):
    with pytest.raises(ConvzooError, match=message):
        read(raw(tmp_path / "raw", hundred(fine, coarse)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines([*TEN, "class 10"]), "has 11 names, 11 of them different, expected 10"),
        (lines(TEN[:9]), "has 9 names, 9 of them different, expected 10"),
        (lines([*TEN[:9], "class 0"]), "has 10 names, 9 of them different, expected 10"),
        (lines([*TEN, "class 0"]), "has 11 names, 10 of them different, expected 10"),
        (b"", "has 0 names"),
        (lines([*TEN[:3], "", *TEN[3:]]), "line 4 is '', expected a name on each line"),
        (lines([*TEN[:9], " \t", TEN[9]]), "line 10 is '', expected a name on each line"),
        (lines(["", *TEN]), "line 1 is '', expected a name on each line"),
        (lines([*TEN[:3], "\x1b[2J", *TEN[4:]]), r"line 4 is '\\x1b\[2J', expected a name"),
        (lines(TEN[:9]) + b"caf\xe9\n", "is not UTF-8 text .*0xe9.*, expected 10 names"),
        (lines(TEN) + b"\n" * 70_000, "has 70080 bytes, expected 10 names"),
    ],
)
def test_names_that_are_not_as_published_are_named(tmp_path, content, message):
    with pytest.raises(ConvzooError, match=rf"cifar.tar.gz: {BIN10}batches.meta.txt: {message}.*; use the published"):
        read(raw(tmp_path / "raw", ten() | {f"{BIN10}batches.meta.txt": content}))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n"])
@pytest.mark.parametrize("rest", [b"", b"\n", b"\n \n"])
def test_line_ends_and_blank_lines_at_the_end_of_the_names_are_ignored(tmp_path, end, rest):
    names = end.join(name.encode() for name in TEN)
    for content in (names, names + end + rest):
        assert read(raw(tmp_path / "raw", ten() | {f"{BIN10}batches.meta.txt": content})).classes == TEN


def test_names_may_be_in_any_language(tmp_path):
    names = ["Käfer", *TEN[1:9], "猫"]
    assert read(raw(tmp_path / "raw", ten() | {f"{BIN10}batches.meta.txt": lines(names)})).classes == names


@pytest.mark.parametrize("missing", [name for name in (*ten(), *hundred()) if not name.endswith("readme.html")])
def test_a_missing_file_is_named(tmp_path, missing):
    files = ten() if missing.startswith(BIN10) else hundred()
    del files[missing]
    with pytest.raises(
        ConvzooError, match=f"raw: its archive holds {missing} 0 times, expected once; use the published"
    ):
        read(raw(tmp_path / "raw", files))


def test_a_file_in_two_archives_is_named(tmp_path):
    folder = raw(tmp_path / "raw", ten())
    tar(folder / "more.tar.gz", [(f"{BIN10}data_batch_3.bin", b"")])
    with pytest.raises(ConvzooError, match=r"its archive holds .*data_batch_3.bin 2 times, expected once"):
        read(folder)


def test_an_archive_beyond_the_limits_or_cut_short_is_refused(tmp_path):
    folder = raw(tmp_path / "raw", ten())
    with pytest.raises(ConvzooError, match="is more than the allowed 60000 bytes"):
        read(folder, limits=LIMITS | {"bytes": 60_000})
    file = folder / "cifar.tar.gz"
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(ConvzooError, match=r"cifar.tar.gz: is damaged"):
        read(folder)


def test_records_pass_through_memory_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 1 << 20)
    rows = 10_000
    fine = np.arange(rows) % 100
    images = np.zeros((rows, 3072), np.uint8)
    files = hundred() | {f"{BIN100}train.bin": records(images, np.array(PARENTS)[fine], fine)}
    folder, size = raw(tmp_path / "raw", files), len(files[f"{BIN100}train.bin"])
    del files, images

    def count() -> int:
        return sum(len(part.images) for part in read(folder, limits=LIMITS | {"bytes": 100_000_000}).parts)

    assert count() == rows + len(TEST)  # the first time also imports modules, whose memory is not counted below
    tracemalloc.start()
    try:
        count()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == rows * 3074
    assert peak < size / 3
