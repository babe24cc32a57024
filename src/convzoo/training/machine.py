"""The device, precision and threads of a training, and the seeds of everything random in it."""

import os
import warnings
from collections.abc import Mapping
from datetime import timedelta
from inspect import signature
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.distributed import is_torchelastic_launched
from torch.nn.parallel import DistributedDataParallel

from convzoo.errors import ConvzooError, first_line
from convzoo.portable import LEVERS, described_levers, has_levers, missing_features
from convzoo.settings.compute import ComputeSettings
from convzoo.training.memory import keep_freed_memory
from convzoo.training.processes import end_with_parent

TIME_LIMIT = timedelta(minutes=10)  # in which the other processes start, and answer in each step
# The parameter of DistributedDataParallel, and its older name, for taking BatchNorm's statistics from the first process
# in each step. All processes compute the same ones.
NAMES = ("forward_sync_buffers", "broadcast_buffers")
SYNC_BUFFERS = next(name for name in NAMES if name in signature(DistributedDataParallel).parameters)
OTHER_LAUNCHERS = {"MASTER_ADDR", "SLURM_NTASKS"}  # variables by which a process knows the others without torchrun


def start(compute: ComputeSettings, seed: int) -> Fabric:
    """Settle device, precision, threads and determinism, seed torch, and launch the processes.

    Raises ConvzooError for a device that this machine lacks, and for portable results in a process that was started
    without the environment that they need.
    """
    if compute.portable:
        _check_portable()
    _check_launch(compute)
    device = _device(compute)
    keep_freed_memory()
    if compute.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # a tenth of the time, for memory nobody reads
        torch.backends.cudnn.benchmark = False
    precision = {"fp32": "32-true", "bf16": "bf16-mixed"}[_precision(compute, device)]
    strategy = DDPStrategy(**{SYNC_BUFFERS: False}, timeout=TIME_LIMIT) if _strategy(compute) == "ddp" else "auto"
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")  # of some filters
    is_started_by_fabric = "LOCAL_RANK" in os.environ and not is_torchelastic_launched()
    try:
        fabric = Fabric(
            accelerator=device,
            devices=compute.devices,
            num_nodes=compute.nodes,
            precision=precision,
            strategy=strategy,
        )
        fabric.launch()
    except (ValueError, MisconfigurationException, dist.DistError) as error:
        raise ConvzooError(
            f"compute: {compute.processes} processes cannot start ({first_line(error)}), expected {compute.devices} on "
            f"each of {compute.nodes} machines that reach each other; see docs/scaling.md"
        ) from error
    if is_started_by_fabric and fabric.local_rank:
        end_with_parent()
    torch.set_num_threads(_threads(compute))  # after the launch, which sets a number that it finds suitable
    torch.manual_seed(seed)
    return fabric


def seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """The generator of an epoch's random numbers; torch's own, which dropout uses, is seeded too.

    They depend on nothing else, so that a resumed training ends with the same bits as one that never stopped.
    """
    torch.manual_seed(seed * 1_000_003 + epoch)
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)


def resolved(compute: ComputeSettings) -> dict[str, str | int | bool]:
    """What `compute` comes to on this machine: the facts that can change the last bits of the weights."""
    device = _device(compute)
    return {
        "portable": compute.portable,
        "device": device,
        "devices": compute.devices,
        "nodes": compute.nodes,
        "strategy": _strategy(compute),
        "precision": _precision(compute, device),
        "threads": _threads(compute),
        "deterministic": compute.deterministic,
        **({"environment": described_levers()} if compute.portable else {}),
    }


def _strategy(compute: ComputeSettings) -> str:
    return "ddp" if compute.processes > 1 or compute.strategy == "ddp" else "single_device"


def _threads(compute: ComputeSettings) -> int:
    if compute.threads != "auto":
        return compute.threads
    if compute.devices == 1:
        return torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // compute.devices)


def _check_launch(compute: ComputeSettings) -> None:
    """Raises ConvzooError if this process does not know the others of its training, for which it would wait."""
    if is_torchelastic_launched():
        started = {"compute.devices": "LOCAL_WORLD_SIZE", "compute.nodes": "GROUP_WORLD_SIZE"}
        for (key, name), expected in zip(started.items(), (compute.devices, compute.nodes), strict=True):
            if int(os.environ[name]) != expected:
                raise ConvzooError(
                    f"{key}: is {expected}, but torchrun started {os.environ[name]}, expected the same; set it in "
                    "params.yaml, or change --nproc-per-node or --nnodes of torchrun"
                )
    elif compute.nodes > 1 and not OTHER_LAUNCHERS & os.environ.keys():
        raise ConvzooError(
            f"compute.nodes: got {compute.nodes}, but this process was started on one machine alone, expected torchrun "
            "on each of them; set it to 1, or start the training as docs/scaling.md says"
        )


def _check_portable() -> None:
    """Say where this machine matters. Raises ConvzooError if the variables of LEVERS are not set."""
    if not has_levers():
        missing = ", ".join(name for name, value in LEVERS.items() if os.environ.get(name) != value)
        raise ConvzooError(
            f"compute.portable: this process was started without {missing}, expected the environment that every stage "
            "sets; run: convzoo repro, or python pipeline/train.py NETWORK"
        )
    if problem := missing_features():
        print(f"compute.portable: warning: {problem}; the bits can differ from those of other machines", flush=True)
    if gpu := _gpu():
        print(f"compute.portable: trains on the CPU although there is {gpu}; set it to false to use that", flush=True)


def _gpu() -> str:
    """The accelerator of this machine; empty if there is none."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "MPS" if torch.backends.mps.is_available() else ""


def _device(compute: ComputeSettings) -> str:
    device = "cpu" if compute.portable and compute.device == "auto" else compute.device
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    names = [name for name, yes in available.items() if yes]
    if device == "auto":
        return names[0]
    if device not in names:
        raise ConvzooError(
            f"compute.device: {device} is not available on this machine; set it to auto or one of: {', '.join(names)}"
        )
    return device


def _precision(compute: ComputeSettings, device: str) -> str:
    if compute.precision != "auto":
        return compute.precision
    if compute.portable:
        return "fp32"
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu" and _has_fast_bf16(torch.cpu.get_capabilities()):
        return "bf16"
    return "fp32"


def _has_fast_bf16(features: Mapping[str, Any]) -> bool:
    """Whether a processor with these `features` trains faster in bf16 than in fp32, as measured in docs/performance.md.

    Intel's AVX-512 multiplies no more numbers per second in bf16 than in fp32; only its AMX does, which a virtual
    machine may lack.
    """
    is_intel = str(features.get("cpu_name", "")).startswith("Intel")
    return bool(features.get("amx_bf16") or (features.get("avx512_bf16") and not is_intel))
