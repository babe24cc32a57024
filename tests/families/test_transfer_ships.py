"""What only an exported transfer network has: its head on the untouched backbone, to compare with."""

from pathlib import Path

import numpy as np
import pytest
from helpers.small import TRANSFER
from helpers.small.transfer import made_weights
from scipy.special import softmax
from scipy.stats import binomtest

from convzoo.data.arrays import load_split
from convzoo.files import read_json
from convzoo.metrics.classification import average_views, mcnemar_test
from convzoo.shipping.model import Model

FOLDER = TRANSFER.folder


@pytest.fixture
def family():
    return TRANSFER


def test_the_export_says_what_the_network_started_from(shipped):
    told = read_json(FOLDER / "export.json")
    assert (told["backbone"], told["method"], told["weights"]["file"]) == ("efficientnet-lite0", "finetune", "made.pth")


def test_the_head_alone_is_what_training_on_features_ships(family, shipped):
    images = np.array(load_split(Path("data/prepared/flowers/test")).images)
    expected = Model(FOLDER / "parts/features_head.onnx")(images)
    family.train(**family.variants[0] | {"method": "features"})
    family.export(views="identity", calibrate=False)
    np.testing.assert_allclose(Model(FOLDER / "model.onnx")(images), expected, atol=1e-5)


def test_two_ways_are_compared_image_by_image():
    labels = np.zeros(12, int)
    first, second = labels.copy(), labels.copy()
    first[:1], second[1:9] = 1, 1  # one image that only the second way answers right, eight that only the first does
    found = mcnemar_test(labels, first, second)
    assert found[:4] == (3, 8, 1, 0)
    assert found.p_value == pytest.approx(binomtest(1, 9).pvalue)
    assert mcnemar_test(labels, labels, labels).p_value == 1
    logits = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    expected = softmax(logits.mean(0), axis=1)
    np.testing.assert_allclose(average_views(list(softmax(logits, axis=2))), expected, atol=1e-6)


def test_resnet_50_trains_and_ships(family, project):
    made_weights(project / "data/weights/resnet50", "resnet50")
    family.train(weights="resnet50", features={"epochs": 1}, finetune={"epochs": 1, "blocks": 3}, head="dense")
    family.export()
    told = read_json(FOLDER / "export.json")
    assert told["backbone"] == "resnet50"
    assert told["parameters"] == 23_508_032 + 2048 * 1024 + 1024 + 1024 * 4 + 4
    metrics = family.evaluate()
    assert 0 <= metrics["test_accuracy"] <= 1 and "test_features_accuracy" in metrics
