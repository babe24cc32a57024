"""The device and precision that `compute` stands for on this machine."""

import pytest
import torch
from helpers.small import COMPUTE

from convzoo.errors import ConvzooError
from convzoo.portable import LEVERS
from convzoo.training import machine


def test_auto_precision_follows_what_the_processor_says(monkeypatch):
    compute = COMPUTE.model_copy(update={"precision": "auto"})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert machine.resolved(compute)["precision"] == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True})
    assert machine.resolved(compute)["precision"] == "fp32"


def test_a_device_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ConvzooError, match=r"compute.device: cuda is not available on this machine; set it to auto or one of: .*cpu"
    ):
        machine.resolved(COMPUTE.model_copy(update={"device": "cuda"}))


@pytest.fixture
def levers(monkeypatch):
    """The environment of a stage with portable results."""
    for name, value in LEVERS.items():
        monkeypatch.setenv(name, value)


PORTABLE = COMPUTE.model_copy(update={"portable": True, "device": "auto", "precision": "auto"})


def test_portable_is_fp32_on_the_cpu_whatever_the_machine_has(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = machine.resolved(PORTABLE)
    assert (found["device"], found["precision"], found["portable"]) == ("cpu", "fp32", True)
    for name, value in LEVERS.items():
        assert f"{name}={value}" in found["environment"]
    other = machine.resolved(COMPUTE)
    assert not other["portable"] and "environment" not in other


def test_a_gpu_that_is_not_used_is_said(monkeypatch, levers, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    machine._check_portable()
    assert "trains on the CPU although there is H200; set it to false to use that" in capsys.readouterr().out


def test_a_process_without_the_variables_is_refused(monkeypatch, levers):
    monkeypatch.delenv("MKL_CBWR")
    with pytest.raises(ConvzooError, match=r"started without MKL_CBWR, expected .*; run: convzoo repro, or python"):
        machine.start(PORTABLE, 0)
