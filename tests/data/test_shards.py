"""Shards hold what arrays hold, any reader of WebDataset reads them, and a broken one is named."""

import json
import shutil
import sys

import numpy as np
import pytest
import webdataset
from helpers.raw_sets import SPLITS, settings
from helpers.sharded import BLOCK, PER_SHARD, WINDOW, write_shards

from convzoo.data import writing
from convzoo.data.arrays import Split, digest, load_split
from convzoo.data.manifest import read_rows
from convzoo.data.prepare import prepare
from convzoo.errors import ConvzooError

COUNT = 60  # images: two full shards, and a third with two full blocks and one of four images


@pytest.fixture
def split():
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (COUNT, 6, 5, 3), np.uint8), rng.integers(0, 9, COUNT))


@pytest.fixture
def folder(tmp_path, split, monkeypatch):
    return write_shards(tmp_path / "train", split, monkeypatch)


@pytest.fixture
def raw(tmp_path):
    """A raw folder of arrays: 90 images in three classes, ten of them twice."""
    folder = tmp_path / "raw"
    folder.mkdir()
    images = np.random.default_rng(1).integers(0, 256, (80, 28, 28, 1), np.uint8)
    np.save(folder / "images.npy", np.concatenate([images, images[:10]]))
    np.save(folder / "labels.npy", np.concatenate([np.arange(80) % 3, np.arange(10) % 3]))
    names = {"classes": ["a", "b", "c"], "superclasses": [], "superclass_of": []}
    (folder / "names.json").write_text(json.dumps(names))
    (folder / "source.json").write_text(json.dumps({"name": "made", "format": "arrays"}))
    return folder


def in_shards(**sizes):
    return settings(storage="shards", shards={"bytes": 8000, "window": 4000} | sizes)


def test_prepare_gives_the_same_images_labels_and_splits_in_shards_as_in_arrays(tmp_path, raw, monkeypatch):
    monkeypatch.setattr(writing, "BLOCK_BYTES", 3 * 28 * 28)
    counts = [prepare("made", each, raw, tmp_path / name) for name, each in (("a", settings()), ("s", in_shards()))]
    assert counts[0] == counts[1] and counts[0]["duplicates_dropped"] == 10
    for name in SPLITS:
        arrays, sharded = (load_split(tmp_path / each / name) for each in ("a", "s"))
        assert (
            len(list((tmp_path / "s" / name).glob("*.tar"))) > 1 and not (tmp_path / "s" / name / "images.npy").exists()
        )
        np.testing.assert_array_equal(sharded.images[:], arrays.images)
        np.testing.assert_array_equal(sharded.labels, arrays.labels)
        assert digest(sharded) == digest(arrays)
        assert read_rows(tmp_path / "s" / name / "manifest.csv") == read_rows(tmp_path / "a" / name / "manifest.csv")
    for name in ("meta.json", "train/meta.json"):
        assert (tmp_path / "s" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_the_same_images_give_the_same_bytes(tmp_path, raw, monkeypatch):
    monkeypatch.setattr(writing, "BLOCK_BYTES", 3 * 28 * 28)
    for name, clock in (("one", 1e9), ("two", 2e9)):
        monkeypatch.setattr("time.time", lambda clock=clock: clock)
        prepare("made", in_shards(), raw, tmp_path / name)
    files = [
        {file.relative_to(tmp_path / name): file.read_bytes() for file in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    ]
    assert files[0] == files[1]


def test_rows_are_read_as_from_an_array(folder, split):
    stored = load_split(folder)
    assert stored.images.shape == split.images.shape and stored.images.dtype == np.uint8 and len(stored.images) == COUNT
    np.testing.assert_array_equal(stored.labels, split.labels)
    for rows in (
        slice(5, 23),
        slice(50, 99),
        slice(None, None, 7),
        np.array([59, 0, 13, 13, 14]),
        np.array([], int),
        58,
        -1,
    ):
        np.testing.assert_array_equal(stored.images[rows], split.images[rows])
    np.testing.assert_array_equal(np.asarray(stored.images), split.images)


def test_a_shard_has_at_most_its_size_and_memory_at_most_a_window(folder, split):
    image = split.images[0].size
    index = json.loads((folder / "index.json").read_text())
    assert [shard["blocks"] for shard in index["shards"]] == [PER_SHARD, PER_SHARD, 3]
    stored = load_split(folder)
    for start in range(0, COUNT, 2):
        stored.images[start : start + 2]
        assert sum(block.nbytes for block in stored.images.kept.values()) <= WINDOW * BLOCK * image


def test_an_image_larger_than_a_block_and_a_shard_is_a_shard(tmp_path, split, monkeypatch):
    monkeypatch.setattr(writing, "BLOCK_BYTES", 1)
    prepared = write_shards(
        tmp_path / "large", split._replace(images=split.images[:4], labels=split.labels[:4]), monkeypatch, block=1
    )
    assert load_split(prepared).images.block == 1
    np.testing.assert_array_equal(load_split(prepared).images[:], split.images[:4])


def test_readers_of_webdataset_read_the_shards(folder, split):
    files = [str(file) for file in sorted(folder.glob("*.tar"))]
    samples = list(webdataset.WebDataset(files, shardshuffle=False).decode())
    np.testing.assert_array_equal(np.concatenate([sample["images.npy"] for sample in samples]), split.images)
    np.testing.assert_array_equal(np.concatenate([sample["labels.npy"] for sample in samples]), split.labels)


def cut(file):
    file.write_bytes(file.read_bytes()[:-1024])


def swap(file):
    """The bytes of another shard of the same size."""
    shutil.copy(file.with_name("00000.tar"), file)


def test_a_broken_shard_is_named_with_what_to_do(folder):
    for damage, problem in (
        (lambda file: file.unlink(), "no such file"),
        (cut, r"\d+ bytes in place of \d+"),
        (swap, "block 3 cannot be read .holds 00000000.images.npy., expected labels.npy"),
    ):
        copy = shutil.copytree(folder, folder.with_name("copy"))
        damage(copy / "00001.tar")
        with pytest.raises(ConvzooError, match=rf"copy/00001.tar: {problem}.*; rebuild it: convzoo repro -f prepare"):
            load_split(copy)
        shutil.rmtree(copy)
    (folder / "index.json").write_text('{"shape": [1')
    with pytest.raises(ConvzooError, match=r"index.json.*expected.*; rebuild it: convzoo repro -f prepare"):
        load_split(folder)


def test_without_webdataset_prepare_says_how_to_install_it_and_leaves_nothing(tmp_path, raw, monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(ConvzooError, match=r"needs the package webdataset.*; install it: .*\[stream\]"):
        prepare("made", in_shards(), raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()
