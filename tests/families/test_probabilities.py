"""What the exported files of all families that predict class probabilities have, shown on the classifier."""

import numpy as np
import pytest
from helpers.small import CLASSIFIER

from convzoo.data.arrays import load_split
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
