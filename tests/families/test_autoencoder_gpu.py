"""What only a machine with CUDA can show of the autoencoder; `make test-gpu`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.autoencoder_small import COMPUTE, FOLDER, NETWORK, small_project, small_settings

from convzoo.data.arrays import load_split
from convzoo.families.autoencoder import train as autoencoder
from convzoo.families.autoencoder.export import export
from convzoo.families.autoencoder.settings import ExportSettings
from convzoo.files import read_json, sha256_of
from convzoo.shipping.model import Model

pytestmark = pytest.mark.gpu

TOLERANCE = 2.0  # grey levels on average, between trainings on the two devices in fp32


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(small_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def reconstructions(device: str) -> np.ndarray:
    """What a network that was trained on `device` makes of the test images, through its exported file."""
    autoencoder.train(NETWORK, small_settings(), COMPUTE.model_copy(update={"device": device}), "test")
    export(NETWORK, ExportSettings(parity_images=40))
    return Model(FOLDER / "model.onnx")(np.array(load_split(Path("data/prepared/cifar10/test")).images))


def test_cuda_trains_exports_and_agrees_with_the_cpu(project, record_property):
    on_cpu = reconstructions("cpu")
    on_cuda = reconstructions("cuda")
    assert read_json(FOLDER / "fingerprint.json")["compute"]["device"] == "cuda"
    difference = float(np.abs(on_cpu.astype(int) - on_cuda).mean())
    record_property("mean difference in grey levels", f"{difference:.2g} of {TOLERANCE}")
    assert difference < TOLERANCE


@pytest.mark.parametrize("architecture", ["fast", "reference"])
def test_cuda_gives_the_same_bytes_again_and_after_a_stop(project, monkeypatch, architecture):
    def weights() -> str:
        compute = COMPUTE.model_copy(update={"device": "cuda", "precision": "auto"})
        autoencoder.train(NETWORK, small_settings(architecture=architecture), compute, "test")
        return sha256_of(FOLDER / "weights.safetensors")

    def stop(run, epoch, metrics):
        if epoch == 2:
            raise KeyboardInterrupt

    expected = weights()
    assert weights() == expected
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(autoencoder.LiveRun, "log", stop)
        weights()
    assert weights() == expected
