"""How many networks this machine can train at once."""

import os
import re
import subprocess
from pathlib import Path

from convzoo.settings.compute import ComputeSettings

MEMORY_PER_JOB = 2 << 30  # bytes
CONTROL_GROUP = Path("/sys/fs/cgroup")  # of a container, which may have less than the machine
NVIDIA = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
VISIBLE = "CUDA_VISIBLE_DEVICES"
INACTIVE = re.compile(r"^inactive_file (\d+)$", re.MULTILINE)
CUDA, MPS = "cuda", "mps"


def job_count(compute: ComputeSettings, gpus: list[str]) -> int:
    """The number of jobs that cores, memory and `gpus` allow, at least one."""
    cores, memory = core_count(), free_memory() // MEMORY_PER_JOB
    if compute.device == MPS:
        return 1
    if compute.device == CUDA or gpus:
        return max(1, min(len(gpus) // compute.devices, cores, memory))
    threads = cores if compute.threads == "auto" else compute.threads
    return max(1, min(cores // (threads * compute.devices), memory // compute.devices))


def job_environments(compute: ComputeSettings, gpus: list[str], count: int) -> list[dict[str, str]]:
    """What each of `count` jobs adds to the environment: its own GPUs. Jobs share them if there are too few."""
    groups = [gpus[place : place + compute.devices] for place in range(0, len(gpus), compute.devices)]
    whole = [group for group in groups if len(group) == compute.devices]
    if not whole:
        return [{} for _ in range(count)]
    return [{VISIBLE: ",".join(whole[number % len(whole)])} for number in range(count)]


def visible_gpus(compute: ComputeSettings) -> list[str]:
    """The GPUs that CUDA shows to a training of these settings, without the import of torch; none without CUDA."""
    if compute.portable or compute.device not in (CUDA, "auto"):
        return []
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name.strip() not in ("", "-1")]
    try:
        done = subprocess.run(NVIDIA, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


def core_count() -> int:
    """The cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _of_group("cpu.max").partition(" ")
    return max(1, min(cores, int(quota) // int(period))) if quota.isdigit() and period.isdigit() else cores


def free_memory() -> int:
    """The bytes of memory that are free, or that can be freed."""
    import psutil  # here: with one job, nobody asks

    free = psutil.virtual_memory().available
    limit, used = _of_group("memory.max"), _of_group("memory.current")
    if not limit.isdigit() or not used.isdigit():
        return free
    cached = INACTIVE.search(_of_group("memory.stat"))  # contents of files, which count as used
    return max(0, min(free, int(limit) - int(used) + int(cached[1] if cached else 0)))


def _of_group(name: str) -> str:
    try:
        return (CONTROL_GROUP / name).read_text().strip()
    except OSError:
        return ""
