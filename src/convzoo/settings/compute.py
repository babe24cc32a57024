"""The hardware settings of trainings: the block `compute` in params.yaml."""

from collections.abc import Iterator
from typing import Literal

from convzoo.errors import SettingsError
from convzoo.settings.load import Params, Settings, check, place, shown
from convzoo.settings.types import Positive


class ComputeSettings(Settings):
    """Device, processes and precision of trainings; each setting can change the last bits of the weights."""

    portable: bool  # the same bits on every x86-64 processor with AVX2: fp32, on the CPU
    device: Literal["auto", "cpu", "cuda", "mps"]
    devices: Positive  # processes, one per device
    precision: Literal["auto", "fp32", "bf16"]  # auto: bf16 if the processor supports it; fp32 if portable
    threads: Positive | Literal["auto"]  # on a CPU; auto: one per core
    deterministic: bool  # use only deterministic operations


def compute_settings(params: Params) -> ComputeSettings:
    """The block `compute`. Raises SettingsError, also for a setting that `portable` rules out."""
    settings = check(params, ("compute",), ComputeSettings)
    messages = [f"{place(params, ('compute', key))}: {message}" for key, message in _misfits(settings)]
    if messages:
        raise SettingsError("\n".join(messages))
    return settings


def _misfits(settings: ComputeSettings) -> Iterator[tuple[str, str]]:
    """The keys whose values `portable` rules out, each with an error message."""
    if not settings.portable:
        return
    allowed = {
        "device": ("auto", "cpu"),
        "devices": (1,),
        "precision": ("auto", "fp32"),
        "deterministic": (True,),
    }
    for key, values in allowed.items():
        value = getattr(settings, key)
        if value not in values:
            got, expected = shown(value).replace("False", "false"), " or ".join(str(one).lower() for one in values)
            yield key, f"got {got}, expected {expected} with portable: true; set it, or set portable: false"
    if settings.threads == "auto":
        yield (
            "threads",
            "got 'auto', expected a whole number with portable: true, since the number of threads changes the last "
            "bits; set it, or set portable: false",
        )
