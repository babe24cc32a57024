"""The hardware settings of trainings: the block `compute` in params.yaml."""

from typing import Literal

from convzoo.settings.load import Params, Settings, check
from convzoo.settings.types import Positive


class ComputeSettings(Settings):
    """Device, processes and precision of trainings; each setting can change the last bits of the weights."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    devices: Positive  # processes, one per device
    precision: Literal["auto", "fp32", "bf16"]  # auto: bf16 if the processor supports it
    threads: Positive | Literal["auto"]  # on a CPU; auto: one per core
    deterministic: bool  # use only deterministic operations


def compute_settings(params: Params) -> ComputeSettings:
    """The block `compute`. Raises SettingsError."""
    return check(params, ("compute",), ComputeSettings)
