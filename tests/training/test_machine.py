"""The device and precision that `compute` stands for on this machine."""

import pytest
import torch
from helpers.small import COMPUTE

from convzoo.errors import ConvzooError
from convzoo.portable import LEVERS
from convzoo.training import machine


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"cpu_name": "AMD EPYC", "avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, "bf16"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, "fp32"),  # a virtual machine without AMX
        ({"cpu_name": "AMD EPYC", "avx512_f": True}, "fp32"),
        ({"architecture": "aarch64"}, "fp32"),
    ],
)
def test_auto_precision_is_the_faster_one_of_the_processor(monkeypatch, features, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert machine.resolved(COMPUTE.model_copy(update={"precision": "auto"}))["precision"] == expected


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


TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"}


@pytest.mark.parametrize(
    ("variables", "changes", "message"),
    [
        ({}, {"nodes": 2}, "compute.nodes: got 2, but this process was started on one machine alone"),
        (TORCHRUN, {"devices": 4}, "compute.devices: is 4, but torchrun started 2, expected the same"),
        (TORCHRUN, {"devices": 2, "nodes": 2}, "compute.nodes: is 2, but torchrun started 1, expected the same"),
    ],
)
def test_a_process_that_would_wait_for_others_in_vain_is_refused(monkeypatch, variables, changes, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in machine.OTHER_LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConvzooError, match=message):
        machine.start(COMPUTE.model_copy(update=changes), 0)


def test_auto_threads_of_several_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    compute = COMPUTE.model_copy(update={"threads": "auto", "devices": 4})
    assert machine.resolved(compute)["threads"] == 2
    assert machine.resolved(compute.model_copy(update={"devices": 16}))["threads"] == 1
    assert machine.resolved(compute.model_copy(update={"threads": 3}))["threads"] == 3
