"""CIFAR's archives in their published form: what is read of them, and what is said of others."""

import pickle

import numpy as np
import pytest
from helpers.cifar_files import (
    COARSE,
    COLOUR,
    FINE,
    LIMITS,
    PARENTS,
    ROWS,
    TEN,
    array,
    hundred,
    pixels,
    python2,
    raw,
    read,
    ten,
)
from helpers.raw_sets import gathered, prepared

from convzoo.data.prepare import prepare
from convzoo.errors import ConvzooError


def python3_for_2(value):
    return pickle.dumps(value, protocol=2)[2:-1]


def python3(value):
    return pickle.dumps(value, protocol=4)[2:-1]


def test_cifar_10_comes_in_the_order_of_its_batches_with_red_green_and_blue_last(tmp_path):
    published = read(raw(tmp_path / "raw", ten()))
    assert (published.classes, published.superclasses, published.superclass_of) == (TEN, [], [])
    splits = gathered(published)
    assert list(splits) == ["train", "test"]
    ids, images, labels = splits["train"]
    assert ids == [f"train-{row:05d}" for row in range(20)]
    planes = np.concatenate([pixels(seed) for seed in range(5)]).reshape(-1, 3, 32, 32)
    for channel in range(3):
        np.testing.assert_array_equal(images[..., channel], planes[:, channel])
    assert labels.tolist() == [(seed + row) % 10 for seed in range(5) for row in range(ROWS)]
    assert splits["test"][0] == [f"test-{row:05d}" for row in range(4)] and splits["test"][2].tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize("write", [python3_for_2, python3])
def test_batches_that_python_3_wrote_are_the_same(tmp_path, write):
    expected = gathered(read(raw(tmp_path / "raw", ten())))
    found = gathered(read(raw(tmp_path / "again", ten(write))))
    for split in expected:
        for one, other in zip(expected[split], found[split], strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_new_name_of_numpys_module_is_known(tmp_path):
    files = {name: content.replace(b"numpy.core.", b"numpy._core.") for name, content in ten().items()}
    assert len(gathered(read(raw(tmp_path / "raw", files)))["train"][0]) == 20


def test_an_array_that_lies_column_by_column_is_turned(tmp_path):
    files = hundred()
    values = pixels(8, 8)
    turned = array(np.asfortranarray(values).tobytes("F"), python2(8) + python2(3072) + b"\x86").replace(
        b"\x89T", b"\x88T"
    )
    files["cifar-100-python/train"] = files["cifar-100-python/train"].replace(python2(values), turned)
    images = gathered(read(raw(tmp_path / "raw", files)))["train"][1]
    np.testing.assert_array_equal(images, values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def test_cifar_100_has_fine_labels_and_the_superclass_of_each_class(tmp_path):
    published = read(raw(tmp_path / "raw", hundred()))
    assert (published.classes, published.superclasses, published.superclass_of) == (FINE, COARSE, PARENTS)
    assert gathered(published)["train"][2].tolist() == [5, 0, 3, 2, 1, 4, 0, 3]


def test_superclasses_stand_in_meta_json_and_not_in_what_a_training_reads(tmp_path):
    prepare("made", COLOUR, raw(tmp_path / "raw", hundred()), tmp_path / "out")
    splits, meta = prepared(tmp_path / "out")
    assert (meta["classes"], meta["superclasses"], meta["superclass_of"]) == (FINE, COARSE, PARENTS)
    assert "superclass_of" not in (tmp_path / "out/train/meta.json").read_text()
    assert [len(splits[split][0]) for split in splits] == [6, 2, 3]
    prepare("made", COLOUR.model_copy(update={"classes": []}), tmp_path / "raw", tmp_path / "unlabelled")
    splits, meta = prepared(tmp_path / "unlabelled")
    assert meta["classes"] == [] and "superclasses" not in meta and not any(splits["train"][1])


def test_classes_in_a_list_must_be_the_published_ones_in_their_order(tmp_path):
    folder = raw(tmp_path / "raw", hundred())
    assert read(folder, COLOUR.model_copy(update={"classes": FINE})).classes == FINE
    with pytest.raises(ConvzooError, match=r"its classes are fine 0, fine 1, .*got fine 5, fine 4"):
        read(folder, COLOUR.model_copy(update={"classes": FINE[::-1]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fine_labels": [0] * 7}, "has 8 images and 7 fine_labels"),
        ({"fine_labels": [0, 1, 2, 3, 4, 5, 6, -1]}, "2 fine_labels are not in 0 to 5, the first is 6"),
        ({"fine_labels": ["x"] * 8}, "8 fine_labels are not in 0 to 5, the first is b'x'"),
        ({"fine_labels": "x" * 8}, "has bytes under fine_labels, expected list"),
        ({"coarse_labels": [2] * 8}, "8 coarse_labels are not in 0 to 1, the first is 2"),
        (
            {"coarse_labels": [1] * 8},
            "expected the class fine 1 in one superclass, its images are in coarse b, coarse a",
        ),
        (
            {"fine_labels": [0] * 8, "coarse_labels": [1] * 8},
            "the class fine 3 in one superclass, its images are in none",
        ),
        ({"data": [1, 2]}, "has list under data, expected array"),
        ({"data": np.zeros((8, 3071), np.uint8)}, r"expected uint8 of shape \(N, 3072\)"),
        ({"data": np.zeros((0, 3072), np.uint8)}, r"expected uint8 of shape \(N, 3072\)"),
    ],
)
def test_batches_that_hold_something_else_are_named(tmp_path, changes, message):
    with pytest.raises(ConvzooError, match=message):
        read(raw(tmp_path / "raw", hundred(**changes)))


@pytest.mark.parametrize("name", ["batches.meta", "data_batch_3", "test_batch"])
def test_a_missing_file_is_named(tmp_path, name):
    files = {path: content for path, content in ten().items() if not path.endswith(name)}
    with pytest.raises(ConvzooError, match=r"expected one file (meta|data_batch_3|test_batch) in the archive"):
        read(raw(tmp_path / "raw", files))


def test_an_archive_beyond_the_limits_or_cut_short_is_refused(tmp_path):
    folder = raw(tmp_path / "raw", ten())
    with pytest.raises(ConvzooError, match="is more than the allowed 60000 bytes"):
        read(folder, limits=LIMITS | {"bytes": 60_000})
    file = folder / "cifar.tar.gz"
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(ConvzooError, match=r"cifar.tar.gz: is damaged"):
        read(folder)
