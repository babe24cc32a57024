"""The environment in which every x86-64 processor with AVX2 computes the same bits, and how a process gets into it.

Libraries read these variables when they are loaded, so a process that lacks them starts itself again. What each of them
does, and what it does not reach, is in docs/reproducibility.md.
"""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

# One thread count for everything but trainings, which set that of PyTorch to compute.threads.
LEVERS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
    "MKL_CBWR": "COMPATIBLE",  # matrix products and eigenvectors of PyTorch
    "MKL_DYNAMIC": "FALSE",  # else a machine with fewer cores than threads uses fewer
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy
    "OMP_DYNAMIC": "FALSE",
    "OMP_NUM_THREADS": "2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions of PyTorch
    "OPENBLAS_CORETYPE": "Haswell",  # matrix products and decompositions of NumPy and SciPy
    "OPENBLAS_NUM_THREADS": "1",  # it never uses more threads than cores
}
NEEDED = {"avx2", "fma"}  # features of the processor, as Linux names them
CPU_INFO = Path("/proc/cpuinfo")


def has_levers(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether an environment has all LEVERS."""
    return all(environment.get(name) == value for name, value in LEVERS.items())


def described_levers() -> str:
    """LEVERS in one line."""
    return "; ".join(f"{name}={value}" for name, value in LEVERS.items())


def restart_with_levers() -> None:
    """Start this process again with LEVERS in its environment, with the same arguments; nothing if they are there."""
    if has_levers():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | LEVERS)


def missing_features() -> str:
    """Why bits of this machine can differ from those of others in spite of LEVERS; empty if they do not."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"this machine is {sys.platform} on {platform.machine()}, not Linux on x86-64"
    lines = CPU_INFO.read_text(errors="replace").splitlines() if CPU_INFO.is_file() else []
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), NEEDED)
    missing = sorted(NEEDED - flags)
    return f"this processor lacks {' and '.join(missing)}" if missing else ""


def processor() -> str:
    """The name of the processor."""
    lines = CPU_INFO.read_text(errors="replace").splitlines() if CPU_INFO.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
