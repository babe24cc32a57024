"""The device and precision that `compute` stands for on this machine."""

import pytest
import torch
from helpers.small import COMPUTE

from convzoo.errors import ConvzooError
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
