"""Small trainings of every family in processes that can be killed, quick to start: a server forks them."""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from convzoo.files import sha256_of
from helpers.project import ROOT

SERVER = multiprocessing.get_context("forkserver")

PATHS = [str(ROOT / "src"), str(ROOT / "tests")]


def start(family: str, folder: Path) -> BaseProcess:
    """Train in a process of its own; what it prints goes to folder/told.txt."""
    serve()
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


@cache
def serve() -> None:
    """Start the server with everything imported; it knows no path but those of its environment."""
    SERVER.set_forkserver_preload(["helpers.killing_trainings"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join(PATHS))
        forkserver.ensure_running()


def _train(family: str, folder: str) -> None:
    from helpers import killing_trainings  # as the server did before

    os.chdir(folder)
    os.environ["CONVZOO_TRACKING"] = "off"
    os.environ.pop("DVC_ROOT", None)
    stream = Path("told.txt").open("w", buffering=1)  # noqa: SIM115 (open until the process ends)
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        print(f"started {family}")
        killing_trainings.train(family)
