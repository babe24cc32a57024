"""The machine's share in a training: the block `compute` in params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from convzoo.settings.load import Params, Settings, check


class ComputeSettings(Settings):
    """What runs the trainings. Each of these can change the last bits of the weights."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    devices: Annotated[int, Field(ge=1)]  # processes, one a device
    precision: Literal["auto", "fp32", "bf16"]  # auto: bf16 where the processor says that it has it
    threads: Annotated[int, Field(ge=1)] | Literal["auto"]  # on a CPU; auto: one a core
    deterministic: bool  # only operations that give the same bits each time


def compute_settings(params: Params) -> ComputeSettings:
    """The block `compute`. Raises SettingsError."""
    return check(params, ("compute",), ComputeSettings)
