"""CIFAR-100 in folders: the classes and superclasses that its binary archive has."""

import numpy as np
import pytest
from helpers.cifar_files import BIN100, COLOUR, LIMITS, lines, pixels, raw, records
from helpers.cifar_files import read as read_binary
from helpers.published_archives import COARSE, COARSE_OF_FINE, FINE
from helpers.raw_sets import encoded, gathered, note, prepared, tar

from convzoo.data.formats import cifar100_pictures
from convzoo.data.formats.cifar100_pictures import SUPERCLASSES
from convzoo.data.prepare import prepare
from convzoo.errors import ConvzooError

SOURCE = {
    "format": "cifar100-pictures",
    "layout": "{split}/{class}/*.webp",
    "limits": LIMITS | {"files": 1000, "bytes": 3_000_000},
}


def images(seed):
    return pixels(seed, 100).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def in_folders(folder, names=FINE):
    """One lossless picture of each class in each split; the order of the folders is another than that of the labels."""
    note(folder, **SOURCE)
    files = [
        (f"{split}/{names[label]}/{seed}.webp", encoded(images(seed)[label], "WEBP", lossless=True, method=0))
        for split, seed in (("test", 2), ("train", 1))
        for label in np.random.default_rng(seed).permutation(len(names))
    ]
    tar(folder / "cifar100.tar.gz", files)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return in_folders(tmp_path_factory.mktemp("cifar100") / "raw")


def read(folder, **changes):
    return cifar100_pictures.read(folder, SOURCE, COLOUR.model_copy(update=changes))


def test_folders_give_what_the_binary_archive_gives(folder, tmp_path):
    every = range(100)
    files = {
        f"{BIN100}{split}.bin": records(pixels(seed, 100), COARSE_OF_FINE, every)
        for split, seed in (("train", 1), ("test", 2))
    }
    files |= {f"{BIN100}fine_label_names.txt": lines(FINE), f"{BIN100}coarse_label_names.txt": lines(COARSE)}
    binary, pictures = read_binary(raw(tmp_path / "binary", files)), read(folder)
    assert pictures[:3] == binary[:3] == (FINE, COARSE, COARSE_OF_FINE)
    expected, found = gathered(binary), gathered(pictures)
    for split in ("train", "test"):
        order = np.argsort(found[split][2])
        np.testing.assert_array_equal(found[split][2][order], expected[split][2])
        np.testing.assert_array_equal(found[split][1][order], expected[split][1])


def test_each_superclass_has_five_classes_and_each_class_one_superclass():
    assert len(SUPERCLASSES) == 20 and {len(names) for names in SUPERCLASSES.values()} == {5}
    assert len({name for names in SUPERCLASSES.values() for name in names}) == 100


def test_a_list_of_classes_gives_the_labels_and_their_superclasses_its_order(folder):
    published = read(folder, classes=FINE[::-1])
    assert published.classes == FINE[::-1] and published.superclass_of == COARSE_OF_FINE[::-1]


def test_without_labels_there_are_no_superclasses(folder, tmp_path):
    counts = prepare("made", COLOUR.model_copy(update={"classes": []}), folder, tmp_path / "out")
    meta = prepared(tmp_path / "out")[1]
    assert meta["classes"] == [] and "superclasses" not in meta
    assert counts["train"] + counts["val"] == counts["test"] == 100


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (FINE[:-1], "missing: worm; unknown: none"),
        ([*FINE[:-1], "worms"], "missing: worm; unknown: worms"),
    ],
)
def test_folders_that_are_not_the_hundred_classes_are_named(tmp_path, names, message):
    with pytest.raises(
        ConvzooError, match=rf"raw: its folders are not the classes of CIFAR-100 \({message}\), expected"
    ):
        read(in_folders(tmp_path / "raw", names))
