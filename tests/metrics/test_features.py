"""The feature network of generated and real images: the file that weights.json names, for images of its channels."""

from pathlib import Path

import numpy as np
import pytest
from helpers.small.dcgan import save_features

from convzoo.errors import ConvzooError
from convzoo.files import sha256_of, write_json
from convzoo.metrics import features as measures
from convzoo.metrics.features import FeatureNetwork

FILE = Path("data/weights/means/features.onnx")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_features_are_those_of_the_file_for_any_number_of_images(monkeypatch):
    save_features(FILE, channels=3)
    network = FeatureNetwork("means", 3)
    assert (network.name, network.sha256, network.model.path) == ("means", sha256_of(FILE), FILE)
    images = np.random.default_rng(0).integers(0, 256, (11, 28, 28, 3), np.uint8)
    expected = images.reshape(11, 7, 4, 7, 4, 3).mean(axis=(2, 4, 5)).reshape(11, 49) / 255
    for batch in (measures.BATCH, 4):
        monkeypatch.setattr(measures, "BATCH", batch)
        np.testing.assert_allclose(network(images), expected, atol=1e-5)


def test_a_missing_file_a_changed_one_and_other_channels_are_named():
    with pytest.raises(ConvzooError, match=rf"{FILE}: there is no such file, .* `convzoo repro weights@means`"):
        FeatureNetwork("means", 1)
    save_features(FILE)
    with pytest.raises(ConvzooError, match=r"takes uint8 \(N, 28, 28, 1\), the images have 3 channels"):
        FeatureNetwork("means", 3)
    write_json(FILE.with_name("weights.json"), {"files": {FILE.name: "0" * 64}})
    message = (
        r"has sha256 .*, expected 0+ as in weights\.json; restore it: dvc checkout, .* convzoo repro -f weights@means"
    )
    with pytest.raises(ConvzooError, match=message):
        FeatureNetwork("means", 1)
