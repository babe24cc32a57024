"""Small trainings of every family in processes that can be killed, quick to start: a server forks them."""

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from convzoo.files import sha256_of

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["killing_trainings"])


class Family(NamedTuple):
    """A small training: what makes its project in a folder, and the network that it trains."""

    project: str  # MODULE.FUNCTION
    network: str


FAMILIES = {
    "classifier": Family("small.small_project", "mnist-classifier"),
    "autoencoder": Family("autoencoder_small.small_project", "cifar10-autoencoder"),
    "dcgan": Family("dcgan_small.dcgan_project", "mnist-dcgan"),
    "transfer": Family("transfer_small.small_project", "flowers-transfer"),
}


def start(family: str, folder: Path) -> BaseProcess:
    """Train in a process of its own; what it prints goes to folder/told.txt."""
    process = SERVER.Process(target=_train, args=(family, str(folder)), daemon=True)
    process.start()
    return process


def finish(process: BaseProcess, folder: Path) -> str:
    """Wait for it; what it printed. It must have ended well."""
    process.join(240)
    told = (folder / "told.txt").read_text()
    assert process.exitcode == 0, told
    return told


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def made(folder: Path) -> dict[str, str]:
    """The sha256 of each file under a final name in models/."""
    found = (file for file in (folder / "models").rglob("*") if file.is_file())
    return {
        file.relative_to(folder).as_posix(): sha256_of(file)
        for file in found
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    }


def _train(family: str, folder: str) -> None:
    import killing_trainings

    os.chdir(folder)
    os.environ["CONVZOO_TRACKING"] = "off"
    os.environ.pop("DVC_ROOT", None)
    with (
        Path("told.txt").open("w", buffering=1) as told,
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(told),
    ):
        sys.stdout.write(f"started {family}\n")
        killing_trainings.train(family)
