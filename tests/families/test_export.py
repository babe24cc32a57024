"""The exported file: what ships does what the weights do, with the same bytes each time."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from helpers.small import COMPUTE, small_project, small_settings
from safetensors.torch import load_file, save_file

from convzoo.data.arrays import Split, load_split
from convzoo.errors import ConvzooError
from convzoo.families.classifier import train as classifier
from convzoo.families.classifier.export import export
from convzoo.families.classifier.network import build
from convzoo.families.classifier.settings import ExportSettings
from convzoo.families.probabilities.export import fitted_temperature
from convzoo.families.probabilities.network import PixelClassifier
from convzoo.files import read_json, sha256_of
from convzoo.shipping import export as exporting
from convzoo.shipping.model import Model
from convzoo.shipping.parity import parity_of

FOLDER = Path("models/mnist-classifier")
SETTINGS = ExportSettings(views="identity", calibrate=False, parity_images=40)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a small trained network; the weights are not to be changed."""
    folder = small_project(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("CONVZOO_TRACKING", "off")
        patched.delenv("DVC_ROOT", raising=False)
        classifier.train("mnist-classifier", small_settings(epochs=6), COMPUTE, "test")
    torch.use_deterministic_algorithms(False)
    return folder


@pytest.fixture
def project(trained, monkeypatch):
    monkeypatch.chdir(trained)
    (FOLDER / "model.onnx").unlink(missing_ok=True)
    return trained


def exported(**changes) -> Model:
    export("mnist-classifier", SETTINGS.model_copy(update=changes))
    return Model(FOLDER / "model.onnx")


def test_the_file_says_what_it_is_and_agrees_with_the_weights(project):
    model = exported()
    assert str(model.input) == "uint8 (N, 28, 28, 1)"
    assert str(model.output) == "float32 (N, 4)"
    assert model.described["classes"] == list("abcd")
    said = read_json(FOLDER / "export.json")
    assert said["model_sha256"] == sha256_of(FOLDER / "model.onnx")
    assert said["weights_sha256"] == sha256_of(FOLDER / "weights.safetensors")
    assert (said["parity"]["split"], said["parity"]["images"]) == ("val", 40)
    (found,) = parity_of(said).values()
    assert (found.unit, found.allowed, found.top1_agreement) == ("probability", 1e-4, 1)
    assert found.largest < 1e-4
    assert said["parts_sha256"] == {} and read_json(FOLDER / "parts/parts.json") == {}


def test_the_same_weights_give_the_same_bytes_and_nothing_of_this_machine(project):
    exported()
    first = (FOLDER / "model.onnx").read_bytes()
    exported()
    assert (FOLDER / "model.onnx").read_bytes() == first
    for trace in (b"site-packages", b".py", str(project).encode()):
        assert trace not in first
    model = onnx.load(FOLDER / "model.onnx")
    assert [entry.key for entry in model.metadata_props] == ["convzoo"]
    assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]


def test_parity_is_looked_at_on_all_of_val_also_where_it_is_sorted(project, monkeypatch):
    images, labels = load_split(Path("data/prepared/mnist/val"))
    order = np.argsort(labels, kind="stable")
    monkeypatch.setattr(exporting, "load_split", lambda folder: Split(images[order], labels[order]))
    seen = []
    compute = exporting.results_of
    monkeypatch.setattr(exporting, "results_of", lambda *given: seen.append(given[1]) or compute(*given))
    exported(parity_images=8)
    assert [len(checked) for checked in seen] == [8]
    classes = [int(labels[(images == image).all(axis=(1, 2, 3))][0]) for image in seen[0]]
    assert set(classes) == {0, 1, 2, 3}


@pytest.mark.parametrize("count", [1, 7])
def test_any_batch_size_is_taken_and_rows_add_up_to_one(project, count):
    images = load_split(Path("data/prepared/mnist/test")).images[:count]
    probabilities = exported()(images)
    assert probabilities.shape == (count, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_floats_and_wrong_shapes_are_refused(project):
    model = exported()
    with pytest.raises(ConvzooError, match=r"expected uint8 \(N, 28, 28, 1\) \(raw pixels from 0 to 255, not scaled\)"):
        model(np.zeros((1, 28, 28, 1), dtype=np.float32))
    with pytest.raises(ConvzooError, match=r"got uint8 \(1, 1, 28, 28\)"):
        model(np.zeros((1, 1, 28, 28), dtype=np.uint8))


@pytest.mark.parametrize("views", ["mirror", "mirror_shift"])
def test_views_are_inside_the_file(project, views):
    images = np.array(load_split(Path("data/prepared/mnist/test")).images[:8])
    plain = exported()(images)
    model = exported(views=views)
    assert np.abs(plain - model(images)).max() > 1e-4
    if views == "mirror":
        np.testing.assert_allclose(model(images), model(images[:, :, ::-1]), atol=1e-5)


def test_a_file_that_does_something_else_is_not_exported(project, monkeypatch):
    write = exporting.write_onnx

    def write_other_weights(module, *arguments):
        other = PixelClassifier(build(*described()), module.mean.tolist(), module.std.tolist(), "identity")
        write(other, *arguments)

    def described():
        found = read_json(FOLDER / "architecture.json")
        return found["architecture"], found["arguments"]

    monkeypatch.setattr(exporting, "write_onnx", write_other_weights)
    with pytest.raises(
        ConvzooError,
        match=r"model.onnx does not agree with the weights: probabilities differ by .* agreement \d",
    ):
        exported()
    assert not (FOLDER / "model.onnx").exists()
    assert not list(FOLDER.glob(".*.new"))


def test_a_temperature_keeps_the_answers_and_lowers_the_loss_on_val(project):
    images, labels = load_split(Path("data/prepared/mnist/val"))
    plain, calibrated = exported()(images), exported(calibrate=True)(images)
    assert read_json(FOLDER / "export.json")["temperature"] != 1
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


def test_weights_of_another_layout_are_refused(project):
    file = FOLDER / "weights.safetensors"
    kept, weights = file.read_bytes(), load_file(file)
    del weights["head.weight"]
    try:
        save_file(weights, file)
        with pytest.raises(ConvzooError, match=r"weights.safetensors: has sha256 .*, expected .* as architecture.json"):
            exported()
    finally:
        file.write_bytes(kept)
