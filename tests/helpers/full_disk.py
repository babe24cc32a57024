"""Ways to meet a full disk: a device that is always full, and a small disk of one's own."""

import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.project import environment

ADVICE = "cannot be written, the disk is full, expected room for it; make some and run the same command again"


def fill(*files: Path) -> None:
    """Let what is written under these names meet a full disk."""
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to("/dev/full")


def on_small_disk(at: str, kilobytes: int, command: str, **more: str) -> str:
    """What a shell command prints for which the folder `at` is a disk of so many kilobytes; nobody else sees that."""
    Path(at).mkdir(parents=True)
    mount = f"mount -t tmpfs -o size={kilobytes}k tmpfs {at}"
    separate = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*separate, mount], capture_output=True).returncode:
        pytest.fail("this system lets nobody but root mount a disk")
    done = subprocess.run(
        [*separate, f"exec 2>&1; {mount} && {command}"],
        env=environment(CONVZOO_TRACKING="off", **more),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stdout
    return done.stdout
