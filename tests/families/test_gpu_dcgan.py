"""What only a machine with CUDA can show of a DCGAN; `make test-gpu`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.dcgan_small import NETWORK, dcgan_project, dcgan_settings
from helpers.small import COMPUTE

from convzoo.families.dcgan import train as dcgan
from convzoo.families.dcgan.export import export
from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.settings import ExportSettings
from convzoo.files import read_json, sha256_of
from convzoo.shipping.model import Model

pytestmark = pytest.mark.gpu

TOLERANCE = 8  # grey levels, the mean between trainings of 12 steps on the two devices in fp32


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(dcgan_project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def pictures(device: str) -> np.ndarray:
    """What a generator that was trained on `device` draws, through its exported file."""
    dcgan.train(NETWORK, dcgan_settings(select_every=3), COMPUTE.model_copy(update={"device": device}), "test")
    export(NETWORK, ExportSettings(parity_images=20))
    return Model(Path("models", NETWORK, "model.onnx"))(latents(40, 8, 0))


def test_a_dcgan_on_cuda_trains_exports_and_agrees_with_the_cpu(project, record_property):
    on_cpu = pictures("cpu")
    on_cuda = pictures("cuda")
    assert read_json(Path("models", NETWORK, "fingerprint.json"))["compute"]["device"] == "cuda"
    difference = float(np.abs(on_cpu.astype(np.float64) - on_cuda).mean())
    record_property("mean difference in grey levels", f"{difference:.2g} of {TOLERANCE}")
    assert difference < TOLERANCE


@pytest.mark.parametrize("changes", [{}, {"discriminator_norm": "none", "spectral_norm": True, "r1": 1.0}])
def test_a_dcgan_on_cuda_gives_the_same_bytes_again_and_after_a_stop(project, monkeypatch, changes):
    def weights() -> str:
        compute = COMPUTE.model_copy(update={"device": "cuda", "precision": "auto"})
        dcgan.train(NETWORK, dcgan_settings(**changes), compute, "test")
        return sha256_of(Path("models", NETWORK, "weights.safetensors"))

    def stop(run, epoch, metrics):
        if epoch == 2:
            raise KeyboardInterrupt

    expected = weights()
    assert weights() == expected
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(dcgan.LiveRun, "log", stop)
        weights()
    assert weights() == expected
