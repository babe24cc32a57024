"""What the server takes on: the size of a request, how many at once, for how long, and with how many threads."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from convzoo.errors import ConvzooError

MIB = 2**20
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Limits:
    """The bounds of a server; the defaults are those of `convzoo serve`."""

    body: int = 32 * MIB  # bytes of a request
    images: int = 256  # images in a request, and images to generate
    pixels: int = 50_000_000  # of an image file, before it is brought to size
    requests: int = 16  # that are read or computed at once
    seconds: float = 30  # to read a request, and to compute its answer


@dataclass(frozen=True)
class ImageBounds:
    """Which images of the log are kept; the oldest are removed first."""

    bytes: int = 1024 * MIB  # of the disk
    days: float = 7


@dataclass(frozen=True)
class LogOptions:
    """Where answers are logged, and for how long they are kept."""

    folder: Path
    days: float = 90  # that rows are kept
    images: ImageBounds | None = None  # None: images are not kept


class RefusedError(ConvzooError):
    """A request that is not answered; `status` is the HTTP status code."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.headers = status, headers or {}
        super().__init__(message)


def allowed_cpus(cgroups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """How many processors this process may use: by its affinity, and by the limits of its control groups (v1 or v2)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _folders(cgroups, own) if (quota := _quota(folder))]
    return max(1, min([allowed, *(math.ceil(quota) for quota in quotas)]))


def _folders(cgroups: Path, own: Path) -> list[Path]:
    """The folders of the control groups that this process is in, and of those around them."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            root = cgroups / controllers if controllers else cgroups
            inner = root / path.lstrip("/")
            folders += [inner, *(folder for folder in inner.parents if folder.is_relative_to(root))]
    return [*folders, cgroups, cgroups / "cpu"]  # a container may see its own group as the root


def _quota(folder: Path) -> float | None:
    """The processors that a control group may use; None if it has no limit."""
    try:
        if (file := folder / "cpu.max").is_file():
            quota, period = file.read_text(encoding="utf-8").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8")
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such file, or "max"
        return None
