"""Running an ONNX file: what goes in is checked, what comes out is right."""

import numpy as np
import pytest
from helpers.onnx_files import save_graph, save_linear_classifier
from onnx import TensorProto, helper

from convzoo.errors import ConvzooError
from convzoo.shipping.model import Model, Tensor, run_in_batches

SHAPE = (2, 3, 1)


@pytest.fixture
def weights():
    return np.random.default_rng(0).normal(scale=0.02, size=(6, 4)).astype(np.float32)


@pytest.fixture
def model(tmp_path, weights):
    path = tmp_path / "model.onnx"
    save_linear_classifier(path, weights, SHAPE)
    return Model(path)


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, size=(7, *SHAPE), dtype=np.uint8)


def softmax_of(images, weights):
    logits = images.reshape(len(images), -1).astype(np.float64) @ weights
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_file_says_what_goes_in_and_comes_out(model):
    assert model.input == Tensor("images", "uint8", (None, 2, 3, 1))
    assert model.output == Tensor("probabilities", "float32", (None, 4))
    assert str(model.input) == "uint8 (N, 2, 3, 1)"


def test_answers_are_those_of_the_file(model, weights, images):
    np.testing.assert_allclose(model(images), softmax_of(images, weights), atol=1e-6)
    np.testing.assert_allclose(model(images[:1]), softmax_of(images[:1], weights), atol=1e-6)


def test_memory_order_does_not_matter(model, images):
    np.testing.assert_array_equal(model(np.asfortranarray(images)), model(images))


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_batches_keep_order_and_the_last_may_be_shorter(model, images, batch_size):
    np.testing.assert_allclose(run_in_batches(model, images, batch_size, progress="test"), model(images), atol=1e-7)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (np.zeros((2, *SHAPE), np.float32), "float32 (2, 2, 3, 1)"),
        (np.zeros((2, *SHAPE), np.int64), "int64 (2, 2, 3, 1)"),
        (np.zeros(SHAPE, np.uint8), "uint8 (2, 3, 1)"),
        (np.zeros((2, 1, 2, 3), np.uint8), "uint8 (2, 1, 2, 3)"),
        (np.zeros((2, 2, 3, 3), np.uint8), "uint8 (2, 2, 3, 3)"),
    ],
)
def test_other_arrays_are_refused_and_named(model, wrong, got):
    with pytest.raises(ConvzooError) as refusal:
        model(wrong)
    assert f"got {got}" in str(refusal.value)
    assert "expected uint8 (N, 2, 3, 1) (raw pixels from 0 to 255, not scaled)" in str(refusal.value)


def test_no_image_is_refused(model, images):
    with pytest.raises(ConvzooError, match="at least one image"):
        model(images[:0])
    with pytest.raises(ConvzooError, match="at least one image"):
        run_in_batches(model, images[:0], batch_size=3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConvzooError, match=r"nothing\.onnx: there is no such file"):
        Model(tmp_path / "nothing.onnx")


def test_a_broken_file_is_named(tmp_path, model):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model.path.read_bytes()[:100])
    with pytest.raises(ConvzooError, match=r"broken\.onnx: is not an ONNX file"):
        Model(broken)


def test_a_file_with_two_inputs_is_refused(tmp_path):
    names = ("left", "right", "sum")
    left, right, total = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in names)
    save_graph(tmp_path / "sum.onnx", [helper.make_node("Add", names[:2], names[2:])], [left, right], [total], [])
    with pytest.raises(ConvzooError, match="expected one input, got 2: left, right"):
        Model(tmp_path / "sum.onnx")
