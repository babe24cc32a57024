"""The measurements of val that a log is compared with."""

from pathlib import Path

import numpy as np
import pytest
from helpers.onnx_files import save_linear
from helpers.served import SIDE, images, write_classifier

from convzoo.data.image_statistics import statistics
from convzoo.errors import ConvzooError
from convzoo.files import sha256_of
from convzoo.shipping.model import Model
from convzoo.shipping.reference import DIMENSIONS, measure, projection_of, read_reference, write_reference

VAL = images(300, seed=3)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A classifier, and its features, of which the second is always zero."""
    weights = np.random.default_rng(0).normal(size=(SIDE * SIDE, 5))
    weights[:, 1] = 0
    features = tmp_path / "features.onnx"
    save_linear(features, weights, ("uint8", (SIDE, SIDE, 1)), ("float32", (5,)), names=("images", "features"))
    return write_classifier(tmp_path), features


def test_it_holds_the_measurements_of_every_image_and_how_to_measure_others(files, tmp_path):
    model, features = files
    said = write_reference(tmp_path / "a.npz", VAL, model, features, split="val", classes=["a"])
    found = read_reference(tmp_path / "a.npz", sha256_of(model))
    assert found.about == said
    assert said["features"] == {"file": "features.onnx", "sha256": sha256_of(features)}
    assert said["projection"] == {"seed": 0, "features": 5, "dimensions": DIMENSIONS} and said["images"] == 300
    assert (said["split"], said["classes"]) == ("val", ["a"])
    probabilities, values = Model(model)(VAL), Model(features)(VAL)
    np.testing.assert_array_equal(found.columns["class"], probabilities.argmax(axis=1))
    np.testing.assert_allclose(found.columns["confidence"], probabilities.max(axis=1), rtol=1e-5)
    for name, column in statistics(VAL).items():
        np.testing.assert_allclose(found.columns[name], column, rtol=1e-6)
    projected = np.stack([found.columns[f"feature_{number}"] for number in range(1, DIMENSIONS + 1)], axis=1)
    np.testing.assert_allclose(projected, values @ found.projection, rtol=1e-4, atol=1e-4)


def test_the_same_files_give_the_same_bytes(files, tmp_path):
    for name in ("a.npz", "b.npz"):
        write_reference(tmp_path / name, VAL, *files, split="val")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_every_feature_has_the_same_weight_and_one_that_never_changes_none(files):
    values = Model(files[1])(VAL)
    projection = projection_of(values)
    assert projection.shape == (5, DIMENSIONS) and projection.dtype == np.float32
    assert not projection[1].any()
    np.testing.assert_allclose(projection_of(values * [1, 1, 50, 1, 1])[2], projection[2] / 50, rtol=1e-5)
    drawn = projection * values.std(axis=0, dtype=np.float64)[:, None] * np.sqrt(5)
    expected = np.random.default_rng(0).standard_normal((5, DIMENSIONS))
    np.testing.assert_allclose(np.delete(drawn, 1, 0), np.delete(expected, 1, 0), rtol=1e-5)


def test_of_reconstructions_the_error_is_measured():
    given, made = images(4, 3), images(4, 3, seed=9)
    columns = measure(given, made, None, np.empty((0, 0), np.float32))
    assert columns.keys() == {*statistics(given), "error"}
    for image, other, error in zip(given, made, columns["error"], strict=True):
        assert error == pytest.approx(np.mean((image.astype(float) - other) ** 2), rel=1e-6)


@pytest.mark.parametrize("content", [b"", b"PK", b"text", None])
def test_a_file_that_is_no_reference_is_refused(content, tmp_path):
    file = tmp_path / "reference.npz"
    file.write_bytes(content) if content is not None else np.savez(file, brightness=np.zeros(3))
    with pytest.raises(ConvzooError, match=r"reference.npz: cannot be read \(.*\), expected the measurements of val; "):
        read_reference(file, "0" * 64)


def test_a_missing_one_and_that_of_another_network_are_refused(files, tmp_path):
    with pytest.raises(ConvzooError, match="is missing, expected the measurements of val beside the network; export"):
        read_reference(tmp_path / "reference.npz", "0" * 64)
    write_reference(tmp_path / "reference.npz", VAL, *files)
    with pytest.raises(ConvzooError, match=r"belongs to the file with sha256 .*, expected 000000000000; export"):
        read_reference(tmp_path / "reference.npz", "0" * 64)
