"""What only a machine with CUDA can show of every family; `make test-gpu`."""

import numpy as np
import pytest
from helpers.small import FAMILIES

from convzoo.data.arrays import load_split
from convzoo.families.dcgan.latents import latents
from convzoo.files import read_json
from convzoo.shipping.model import Model
from convzoo.tracking.live import LiveRun

pytestmark = pytest.mark.gpu

COMPARED = [(name, changes) for name, family in FAMILIES.items() for changes in family.on_cuda]
RESUMED = [(name, changes) for name, family in FAMILIES.items() for changes in family.variants]
CUDA = {"device": "cuda", "precision": "auto"}


def results(family, device: str, changes: dict) -> np.ndarray:
    """What a network that was trained on `device` computes, through its exported file."""
    family.train({"device": device}, **changes)
    family.export(**{"views": "identity", "calibrate": False} if hasattr(family.exporting, "views") else {})
    model = Model(family.folder / "model.onnx")
    if model.input.dtype == "uint8":
        return model(np.array(load_split(family.prepared / "test").images))
    return model(latents(40, model.input.shape[1], 0))


@pytest.mark.parametrize(("family", "changes"), COMPARED, indirect=["family"])
def test_cuda_trains_exports_and_agrees_with_the_cpu(family, project, record_property, changes):
    on_cpu, on_cuda = (results(family, device, changes).astype(np.float64) for device in ("cpu", "cuda"))
    assert read_json(family.folder / "fingerprint.json")["compute"]["device"] == "cuda"
    difference = float(family.difference(np.abs(on_cpu - on_cuda)))
    record_property(f"{family.difference.__name__} difference", f"{difference:.2g} of {family.tolerance:g}")
    assert difference < family.tolerance


@pytest.mark.parametrize(("family", "changes"), RESUMED, indirect=["family"])
def test_cuda_gives_the_same_bytes_again_and_after_a_stop(family, project, monkeypatch, changes):
    expected, epochs = family.train(CUDA, **changes), len(family.history())

    def stop(run, epoch, metrics):
        if epoch == epochs - 1:
            raise KeyboardInterrupt

    assert family.train(CUDA, **changes) == expected
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(LiveRun, "log", stop)
        family.train(CUDA, **changes)
    assert family.train(CUDA, **changes) == expected
