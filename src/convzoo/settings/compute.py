"""The hardware settings of trainings: the block `compute` in params.yaml."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from convzoo.errors import SettingsError
from convzoo.settings.load import Params, Settings, check, place, shown
from convzoo.settings.types import Misfit, Positive

CONTINUE_FROM = "CONVZOO_CONTINUE_FROM"  # an environment variable: the fingerprint of a training to continue from


class ComputeSettings(Settings):
    """Device, processes and precision of trainings; each setting can change the last bits of the weights."""

    portable: bool  # the same bits on every x86-64 processor with AVX2: fp32, on the CPU
    device: Literal["auto", "cpu", "cuda", "mps"]
    devices: Positive  # processes on each machine, one per device
    nodes: Positive  # machines that train together
    strategy: Literal["auto", "ddp"]  # auto: ddp if there are several processes
    precision: Literal["auto", "fp32", "bf16"]  # auto: bf16 if the processor is faster with it; fp32 if portable
    threads: Positive | Literal["auto"]  # on a CPU; auto: one per core
    deterministic: bool  # use only deterministic operations

    @property
    def processes(self) -> int:
        """The number of processes of a training, on all machines."""
        return self.devices * self.nodes


def compute_settings(params: Params) -> ComputeSettings:
    """The block `compute`. Raises SettingsError, also for a setting that another one rules out."""
    settings = check(params, ("compute",), ComputeSettings)
    messages = [f"{place(params, ('compute', key))}: {message}" for key, message in _misfits(settings)]
    if messages:
        raise SettingsError("\n".join(messages))
    return settings


def batch_misfits(block: Mapping[str, Any], processes: int) -> Iterator[Misfit]:
    """Each batch size in a block of `networks` that so many processes cannot share evenly: its key and a message."""
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from (((key, *path), message) for path, message in batch_misfits(value, processes))
        elif key == "batch_size" and value % processes:
            yield (
                (key,),
                f"got {value}, expected a multiple of {processes}, the number of processes (compute.devices times "
                f"compute.nodes); set it to {-(-value // processes) * processes}, or change those",
            )


def _misfits(settings: ComputeSettings) -> Iterator[tuple[str, str]]:
    """The keys whose values other settings rule out, each with an error message."""
    if settings.device == "mps" and (settings.processes > 1 or settings.strategy == "ddp"):
        yield "device", "got mps, expected auto, cpu or cuda for several processes or strategy: ddp"
    if not settings.portable:
        return
    allowed = {
        "device": ("auto", "cpu"),
        "devices": (1,),
        "nodes": (1,),
        "strategy": ("auto",),
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
