"""What ships of the transfer family, and how it is measured."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.transfer_small import FOLDER, NETWORK, made_weights, small_project, train
from scipy.special import softmax
from scipy.stats import binomtest

from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.families.transfer.evaluate import evaluate
from convzoo.families.transfer.export import export
from convzoo.families.transfer.settings import EvaluationSettings, ExportSettings
from convzoo.files import read_json, sha256_of
from convzoo.metrics.classification import average_views, mcnemar_test
from convzoo.shipping.model import Model
from convzoo.shipping.parity import parity_of

EXPORTED = ExportSettings(views="mirror", calibrate=True, parity_images=20)
EVALUATED = EvaluationSettings(batch_size=10, confidence=0.95, top_k=2, calibration_bins=5, mistakes_shown=4)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A project with a small trained and exported network; it is not to be changed."""
    folder = small_project(tmp_path_factory.mktemp("exported"))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("CONVZOO_TRACKING", "off")
        patched.delenv("DVC_ROOT", raising=False)
        train(finetune={"epochs": 2, "blocks": 9})
        export(NETWORK, EXPORTED)
        yield folder
    torch.use_deterministic_algorithms(False)


def test_the_file_agrees_with_the_weights_and_says_what_it_started_from(exported):
    told = read_json(FOLDER / "export.json")
    assert told["model_sha256"] == sha256_of(FOLDER / "model.onnx")
    assert told["parts_sha256"] == {"features_head.onnx": sha256_of(FOLDER / "parts/features_head.onnx")}
    assert told["parity"]["images"] == 20
    parity = parity_of(told)
    assert set(parity) == {"model.onnx", "parts/features_head.onnx"}
    assert {(found.unit, found.top1_agreement) for found in parity.values()} == {("probability", 1)}
    assert (told["backbone"], told["method"], told["weights"]["file"]) == ("efficientnet-lite0", "finetune", "made.pth")
    model = Model(FOLDER / "model.onnx")
    assert (str(model.input), str(model.output)) == ("uint8 (N, 28, 28, 3)", "float32 (N, 4)")
    assert model.described["classes"] == list("abcd")


@pytest.mark.parametrize("name", ["model.onnx", "parts/features_head.onnx"])
def test_what_ships_takes_raw_pixels_of_any_number_and_nothing_else(exported, name):
    model = Model(FOLDER / name)
    images = np.array(load_split(Path("data/prepared/flowers/test")).images)
    for count in (1, 7):
        found = model(images[:count])
        assert found.shape == (count, 4)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    with pytest.raises(ConvzooError, match=r"expected uint8 \(N, 28, 28, 3\) \(raw pixels from 0 to 255, not scaled\)"):
        model(images.astype(np.float32))
    with pytest.raises(ConvzooError, match=r"got uint8 \(2, 3, 28, 28\)"):
        model(images[:2].transpose(0, 3, 1, 2))


def test_the_head_alone_is_what_training_on_features_ships(exported, tmp_path, monkeypatch):
    file = exported / FOLDER / "parts/features_head.onnx"
    monkeypatch.chdir(small_project(tmp_path))
    train(method="features")
    export(NETWORK, EXPORTED.model_copy(update={"views": "identity", "calibrate": False}))
    images = np.array(load_split(Path("data/prepared/flowers/test")).images)
    np.testing.assert_allclose(Model(file)(images), Model(FOLDER / "model.onnx")(images), atol=1e-5)
    content = file.read_bytes()
    assert not [trace for trace in (b"site-packages", b".py", str(exported).encode()) if trace in content]


def test_evaluation_compares_both_ways_over_the_average_views(exported, capsys):
    metrics = evaluate(NETWORK, EVALUATED)
    assert metrics == read_json(FOLDER / "metrics.json")
    images, labels = load_split(Path("data/prepared/flowers/test"))
    head = Model(FOLDER / "parts/features_head.onnx")
    both = softmax(sum(np.log(head(np.ascontiguousarray(view))) for view in (images, images[:, :, ::-1])) / 2, axis=1)
    assert metrics["test_features_accuracy"] == pytest.approx((both.argmax(1) == labels).mean(), abs=1e-6)
    loss = metrics["ways"]["head on the untouched backbone"]["loss"]
    assert loss == pytest.approx(-np.log(both[np.arange(len(labels)), labels]).mean(), abs=1e-5)
    right = Model(FOLDER / "model.onnx")(np.array(images)).argmax(1) == labels
    assert metrics["test_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    alone = [metrics["ways"][way]["right_alone"] for way in ("fine-tuned", "head on the untouched backbone")]
    gain = (alone[0] - alone[1]) / len(labels)
    assert metrics["test_gain"] == pytest.approx(gain, abs=1e-6)
    names = {file.name for file in (FOLDER / "plots").iterdir()}
    tables = {"calibration", "classes", "confusion", "features_and_finetuned"}
    assert names == {f"{name}.{kind}" for name in tables for kind in ("csv", "png")} | {
        "mistakes.png",
        "augmented_batch.png",
    }
    assert "the head on the untouched backbone" in capsys.readouterr().out
    first = {file: file.read_bytes() for file in FOLDER.rglob("*") if file.is_file()}
    evaluate(NETWORK, EVALUATED)
    assert {file: file.read_bytes() for file in FOLDER.rglob("*") if file.is_file()} == first


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


def test_resnet_50_trains_and_ships(tmp_path, monkeypatch):
    small_project(tmp_path)
    made_weights(tmp_path / "data/weights/resnet50", "resnet50")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    train(weights="resnet50", features={"epochs": 1}, finetune={"epochs": 1, "blocks": 3}, head="dense")
    export(NETWORK, EXPORTED)
    told = read_json(FOLDER / "export.json")
    assert told["backbone"] == "resnet50"
    assert told["parameters"] == 23_508_032 + 2048 * 1024 + 1024 + 1024 * 4 + 4
    metrics = evaluate(NETWORK, EVALUATED)
    assert 0 <= metrics["test_accuracy"] <= 1 and "test_features_accuracy" in metrics
    torch.use_deterministic_algorithms(False)
