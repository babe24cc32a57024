"""What only an exported DCGAN has: a discriminator whose features count, and comparisons of sets of images."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers.small import DCGAN
from helpers.small.dcgan import save_features
from helpers.small.images import shapes
from safetensors.torch import load_file

from convzoo.errors import ConvzooError
from convzoo.families.dcgan.evaluate import _with_remark
from convzoo.families.dcgan.network import build, to_signed
from convzoo.files import read_json, sha256_of, write_json
from convzoo.metrics.distances import Comparison
from convzoo.shipping.model import Model

NETWORK, FOLDER = DCGAN.network, DCGAN.folder


@pytest.fixture
def family():
    return DCGAN


def test_the_discriminators_features_take_raw_images(shipped):
    model, images = Model(FOLDER / "parts/discriminator.onnx"), shapes(5, 0).images
    found = model(images)
    assert found.shape == (5, 16 * (4 + 8 + 16))
    assert found.std(axis=0).max() > 0


def test_spectral_norm_is_part_of_the_exported_weights(family, project):
    family.train(epochs=1, spectral_norm=True, discriminator_norm="none")
    family.export()
    described = read_json(FOLDER / "architecture.json")
    _, discriminator = build(described["generator"], described["discriminator"])
    discriminator.load_state_dict(load_file(FOLDER / "extra/discriminator.safetensors"))
    images = shapes(5, 0).images
    with torch.no_grad():
        expected = discriminator.eval().features(to_signed(torch.from_numpy(images))).numpy()
    np.testing.assert_allclose(Model(FOLDER / "parts/discriminator.onnx")(images), expected, atol=1e-5)
    assert "Parametrization" not in str(onnx.load(FOLDER / "parts/discriminator.onnx").graph.node)


def test_a_data_set_of_images_of_another_shape_is_refused(family, shipped):
    described = read_json(FOLDER / "architecture.json")
    write_json(FOLDER / "architecture.json", described | {"shape": [32, 32, 1]})
    before = family.outputs()
    with pytest.raises(ConvzooError, match=r"generates images of \[32, 32, 1\], but .*/mnist has \[28, 28, 1\]"):
        family.export()
    assert family.outputs() == before


def test_metrics_compare_generated_images_with_real_ones_and_real_ones_with_each_other(shipped):
    metrics = shipped.metrics
    assert metrics["test_generated_images"] == 30
    assert metrics["test_probe_train_images"] == 40
    assert metrics["test_probe_accuracy_low"] <= metrics["test_probe_accuracy"] <= metrics["test_probe_accuracy_high"]
    comparisons = metrics["comparisons"]
    assert list(comparisons) == ["generated against train", "generated against test", "test against train"]
    assert {row["real_images"] for row in comparisons.values()} == {25}
    assert comparisons["generated against test"]["generated_images"] == 30
    assert comparisons["generated against test"]["frechet_distance_is"] == "mostly bias: 25 images for 49 features"
    assert comparisons["test against train"]["kid"] < comparisons["generated against train"]["kid"]
    sha256 = sha256_of(Path("data/weights/digits/features.onnx"))
    assert metrics["feature_network"] == {"digits": {"features": 49, "sha256": sha256}}


def test_without_a_probe_there_is_no_accuracy(family, shipped):
    metrics = family.evaluate(probe_images=0)
    assert not [name for name in metrics if "probe" in name]


def test_another_feature_network_than_the_one_that_chose_is_refused(family, shipped):
    save_features(Path("data/weights/digits/features.onnx"), scale=1.0)
    with pytest.raises(ConvzooError, match=rf"was chosen by another feature network .* convzoo repro train@{NETWORK}"):
        family.evaluate()


@pytest.mark.parametrize(("images", "usable"), [((98, 200), True), ((200, 98), True), ((97, 200), False)])
def test_a_frechet_distance_needs_two_images_per_feature(images, usable):
    row = Comparison(*images, 1.0, 2.0, 0.5, 0.25, 0.75)
    assert (_with_remark(row, 49)["frechet_distance_is"] == "usable") == usable
