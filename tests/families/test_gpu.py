"""What only a machine with CUDA can show; `make test-gpu`. It needs torch, lightning-fabric and the packages of the
tests, but no network, DVC or MLflow.
"""

import warnings

import numpy as np
import pytest
import torch
from helpers import full_networks
from helpers.fake_cuda import fake_cuda
from helpers.full_networks import NETWORKS, first_losses, full_project, full_settings, measured, waits_on_gpu
from helpers.small import FAMILIES

from convzoo.data.arrays import load_split
from convzoo.families.dcgan.latents import latents
from convzoo.files import read_json
from convzoo.shipping.model import Model
from convzoo.tracking.live import LiveRun

LOSSES, TOLERANCE = 10, 0.01  # how many losses are compared, and by which share they may differ
FEWER = {"batch_size": 16, "epochs": 2}  # for the device that computes on the CPU

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


@pytest.mark.gpu
@pytest.mark.parametrize(("family", "changes"), COMPARED, indirect=["family"])
def test_cuda_trains_exports_and_agrees_with_the_cpu(family, project, record_property, changes):
    on_cpu, on_cuda = (results(family, device, changes).astype(np.float64) for device in ("cpu", "cuda"))
    assert read_json(family.folder / "fingerprint.json")["compute"]["device"] == "cuda"
    difference = float(family.difference(np.abs(on_cpu - on_cuda)))
    record_property(f"{family.difference.__name__} difference", f"{difference:.2g} of {family.tolerance:g}")
    assert difference < family.tolerance


@pytest.mark.gpu
@pytest.mark.parametrize(("family", "changes"), RESUMED, indirect=["family"])
def test_cuda_gives_the_same_bytes_again_and_after_a_stop(family, project, monkeypatch, changes):
    expected, epochs = family.train(CUDA, **changes), len(family.history())
    assert family.train(CUDA, **changes) == expected
    stopped_after(epochs - 1, monkeypatch, lambda: family.train(CUDA, **changes))
    assert family.train(CUDA, **changes) == expected


def stopped_after(epoch: int, monkeypatch, training) -> None:
    """Train, and press Ctrl-C after `epoch`."""

    def stop(run: LiveRun, number: int, metrics: dict) -> None:
        if number == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(LiveRun, "log", stop)
        training()


@pytest.fixture
def network_project(request, tmp_path, working):
    """The current folder is a project of one of the networks of params.yaml."""
    with working(full_project(tmp_path, request.param)):
        yield request.param


@pytest.mark.gpu
@pytest.mark.parametrize("network_project", NETWORKS, indirect=True)
def test_a_network_of_params_yaml_trains_stops_resumes_exports_and_evaluates(
    network_project, monkeypatch, record_property
):
    network, settings = network_project, full_settings(network_project)
    expected = full_networks.train(network, settings, **CUDA)
    stopped_after(2, monkeypatch, lambda: full_networks.train(network, settings, **CUDA))
    assert full_networks.train(network, settings, **CUDA) == expected
    full_networks.export_and_evaluate(network)

    torch.cuda.reset_peak_memory_stats()
    speed = measured(network, settings, lambda: 0, **CUDA)
    record_property("images/s", f"{speed.images_per_second:,.0f}")
    record_property("MB at most", f"{torch.cuda.max_memory_allocated() / 1e6:,.0f}")
    with waits_on_gpu() as waits:
        speed = measured(network, settings, waits, **CUDA)
    record_property("waits per step", f"{speed.waits_per_step:.2g}")
    assert speed.waits_per_step == 0


@pytest.mark.gpu
@pytest.mark.parametrize("network_project", NETWORKS, indirect=True)
def test_the_first_losses_are_those_of_the_cpu(network_project, record_property):
    record_property("loss differs by", f"{differing_losses(network_project):.2g} of {TOLERANCE:g}")


def differing_losses(network: str, **changes) -> float:
    """By which share the first losses on `cuda` differ from the CPU's, at most; fails above TOLERANCE."""
    settings = full_settings(network, **changes)
    on_cpu, on_cuda = (first_losses(network, settings, LOSSES, device=device) for device in ("cpu", "cuda"))
    assert on_cpu.keys() == on_cuda.keys() and on_cpu
    pairs = [pair for name in on_cpu for pair in zip(on_cpu[name], on_cuda[name], strict=True)]
    difference = max(abs(cuda - cpu) / abs(cpu) for cpu, cuda in pairs)
    assert len(pairs) > 3 and difference < TOLERANCE, pairs
    return difference


@pytest.mark.parametrize("network", ["mnist-classifier", "anime-dcgan"])
def test_these_measurements_work_on_a_device_that_computes_on_the_cpu(tmp_path, working, network):
    with working(full_project(tmp_path, network, share=0.03)), fake_cuda() as cuda:
        speed = measured(network, full_settings(network, **FEWER), lambda: len(cuda.waits), device="cuda")
        assert speed.images_per_second > 0 and speed.waits_per_step == 0
        assert 0 <= differing_losses(network, **FEWER) < TOLERANCE


def test_waits_that_torch_warns_of_are_counted(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with waits_on_gpu() as waits:
        for _ in range(2):
            warnings.warn("called a synchronizing CUDA operation (Triggered internally at x.cpp:1)", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
        assert waits() == 2
    assert modes == ["warn", "default"]
