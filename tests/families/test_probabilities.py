"""What the exported files of all families that predict class probabilities have, shown on the classifier."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.small import CLASSIFIER

from convzoo.data.arrays import Split, load_split
from convzoo.families.probabilities.export import fitted_temperature
from convzoo.files import read_json
from convzoo.shipping.model import Model


@pytest.fixture
def family():
    return CLASSIFIER


def exported(**changes) -> Model:
    CLASSIFIER.export(**changes)
    return Model(CLASSIFIER.folder / "model.onnx")


@pytest.mark.parametrize("views", ["mirror", "mirror_shift"])
def test_views_are_inside_the_file(shipped, views):
    images = np.array(load_split(CLASSIFIER.prepared / "test").images[:8])
    plain = exported()(images)
    model = exported(views=views)
    assert np.abs(plain - model(images)).max() > 1e-4
    if views == "mirror":
        np.testing.assert_allclose(model(images), model(images[:, :, ::-1]), atol=1e-5)


def test_a_temperature_keeps_the_answers_and_lowers_the_loss_on_val(shipped):
    images, labels = load_split(CLASSIFIER.prepared / "val")
    plain, calibrated = exported()(images), exported(calibrate=True)(images)
    assert read_json(CLASSIFIER.folder / "export.json")["temperature"] != 1
    assert (plain.argmax(1) == calibrated.argmax(1)).all()
    rows = np.arange(len(labels))
    assert -np.log(calibrated[rows, labels]).mean() < -np.log(plain[rows, labels]).mean()


def test_the_fitted_temperature_is_the_best_one():
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (400,), generator=rng)
    table = torch.nn.functional.one_hot(labels, 4).float() * 2 + torch.randn(400, 4, generator=rng)
    module = SimpleNamespace(logits=lambda images: table[: len(images)])
    found = fitted_temperature(module, Split(np.zeros((400, 28, 28, 1), dtype=np.uint8), labels.numpy()))

    def loss(temperature: float) -> float:
        return torch.nn.functional.cross_entropy(table / temperature, labels).item()

    assert loss(found) <= min(loss(found * 1.03), loss(found / 1.03))
