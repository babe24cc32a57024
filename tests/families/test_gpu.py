"""What only a machine with CUDA can show; `make test-gpu`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import transfer_small
from helpers.small import COMPUTE, small_project, small_settings

from convzoo.data.arrays import load_split
from convzoo.families.classifier import train as classifier
from convzoo.families.classifier.export import export
from convzoo.families.classifier.settings import ExportSettings
from convzoo.families.transfer import export as transfer_export
from convzoo.families.transfer import train as transfer
from convzoo.files import read_json, sha256_of
from convzoo.shipping.model import Model

pytestmark = pytest.mark.gpu

NETWORK = "mnist-classifier"
TOLERANCE = 0.05  # of a probability, between trainings on the two devices in fp32


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(small_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def probabilities(device: str, **changes) -> np.ndarray:
    """What a network that was trained on `device` says of the test images, through its exported file."""
    compute = COMPUTE.model_copy(update={"device": device})
    classifier.train(NETWORK, small_settings(**changes), compute, "test")
    export(NETWORK, ExportSettings(views="identity", calibrate=False, parity_images=40))
    return Model(Path("models", NETWORK, "model.onnx"))(np.array(load_split(Path("data/prepared/mnist/test")).images))


def test_cuda_trains_exports_and_agrees_with_the_cpu(project, record_property):
    on_cpu = probabilities("cpu")
    on_cuda = probabilities("cuda")
    assert read_json(Path("models", NETWORK, "fingerprint.json"))["compute"]["device"] == "cuda"
    difference = float(np.abs(on_cpu - on_cuda).max())
    record_property("largest difference of a probability", f"{difference:.2g} of {TOLERANCE}")
    assert difference < TOLERANCE


@pytest.mark.parametrize("architecture", ["fast", "reference"])
def test_cuda_gives_the_same_bytes_again_and_after_a_stop(project, monkeypatch, architecture):
    def weights() -> str:
        compute = COMPUTE.model_copy(update={"device": "cuda", "precision": "auto"})
        classifier.train(NETWORK, small_settings(architecture=architecture), compute, "test")
        return sha256_of(Path("models", NETWORK, "weights.safetensors"))

    def stop(run, epoch, metrics):
        if epoch == 2:
            raise KeyboardInterrupt

    expected = weights()
    assert weights() == expected
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(classifier.LiveRun, "log", stop)
        weights()
    assert weights() == expected


@pytest.fixture
def transfer_project(tmp_path, monkeypatch):
    monkeypatch.chdir(transfer_small.small_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def train_transfer(device: str, precision: str = "fp32", **changes) -> str:
    """Train flowers-transfer on `device`; the weights' sha256."""
    compute = COMPUTE.model_copy(update={"device": device, "precision": precision})
    transfer.train(transfer_small.NETWORK, transfer_small.small_settings(**changes), compute, "test")
    return sha256_of(transfer_small.FOLDER / "weights.safetensors")


@pytest.mark.parametrize("method", ["features", "finetune"])
def test_cuda_transfers_exports_and_agrees_with_the_cpu(transfer_project, record_property, method):
    images, found = np.array(load_split(Path("data/prepared/flowers/test")).images), []
    for device in ("cpu", "cuda"):
        train_transfer(device, method=method, finetune={"batch_norm": "frozen", "learning_rate": 1e-4})
        transfer_export.export(
            transfer_small.NETWORK,
            transfer_export.ExportSettings(views="identity", calibrate=False, parity_images=20),
        )
        found.append(Model(transfer_small.FOLDER / "model.onnx")(images))
    difference = float(np.abs(found[0] - found[1]).max())
    record_property("largest difference of a probability", f"{difference:.2g} of {TOLERANCE}")
    assert difference < TOLERANCE


def test_cuda_transfers_to_the_same_bytes_again_and_after_a_stop(transfer_project, monkeypatch):
    def stop(run, epoch, metrics):
        if epoch == 3:
            raise KeyboardInterrupt

    expected = train_transfer("cuda", "auto")
    assert train_transfer("cuda", "auto") == expected
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(transfer.LiveRun, "log", stop)
        train_transfer("cuda", "auto")
    assert train_transfer("cuda", "auto") == expected
