"""Runs trainings outside the pipeline, in copies of the project, for `convzoo repeat` and `convzoo sweep`.

They use the prepared data and do not change models/.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from convzoo.errors import ConvzooError
from convzoo.files import new_file, read_json
from convzoo.settings.load import PARAMS, Params, read_params
from convzoo.settings.whole import check_all, check_network_name

SHARED = ("data", "pipeline", "src")  # folders that a copy links to
WATCH_EVERY = 0.2  # seconds between two checks of a training
ERROR_LINES = 5  # of a log, at its end, that a message quotes


class StoppedError(ConvzooError):
    """A training that was ended, or not started, because the command is stopping."""


class Steps:
    """The running commands of several trainings. After `stop`, none runs and none starts."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen] | None = set()

    def run(
        self, command: list[str], watch: Callable[[subprocess.Popen], object] | None = None, **options: Any
    ) -> tuple[int, int]:
        """Run a command as subprocess.Popen does; return its exit status and its peak memory in bytes.

        Calls `watch` with the process several times a second until it ends. Raises StoppedError after `stop`.
        """
        with self.lock:
            if self.running is None:
                raise StoppedError("stopped, because another training failed")
            process = subprocess.Popen(command, **options)
            self.running.add(process)
        try:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG if watch else 0)
            while not pid:
                watch(process)
                time.sleep(WATCH_EVERY)
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        except BaseException:  # of `watch`, or an interrupt: nobody else waits for the process
            send(process, signal.SIGTERM)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, 0)
            raise
        finally:
            with self.lock:
                if self.running:
                    self.running.discard(process)
        process.returncode = os.waitstatus_to_exitcode(status)
        # Linux counts in KiB, macOS in bytes.
        return process.returncode, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def stop(self) -> None:
        """End all commands."""
        with self.lock:
            for process in self.running or ():
                send(process, signal.SIGTERM)
            self.running = None

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self.running is None


def send(process: subprocess.Popen, number: signal.Signals) -> None:
    """Send a signal to a process of `Steps`, which alone waits for it: Popen's own methods would, too."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)


def checked_params(network: str) -> tuple[Params, dict[str, Any]]:
    """Read params.yaml and the source of the network's prepared data.

    Raises ConvzooError if params.yaml is invalid, or if the data are from another source or were not validated.
    """
    params = read_params()
    check_all(params)
    check_network_name(params, network)
    dataset = params.values["networks"][network]["data"]
    if not Path("data/validated", f"{dataset}.json").exists():
        raise ConvzooError(f"data/validated/{dataset}.json: is missing; run: convzoo repro validate")

    source = read_json(Path("data/prepared", dataset, "meta.json"))["source"]
    wanted = params.values["data"][dataset]["source"]
    if source["name"] != wanted:
        raise ConvzooError(
            f"data/prepared/{dataset}: is from {source['name']}, params.yaml says {wanted}; run: convzoo repro validate"
        )
    return params, source


def write_copy(folder: Path, params: Params) -> None:
    """Make `folder` a copy of the project with these params: links to its data and code, and params.yaml."""
    for name in SHARED:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path(name).resolve(), target_is_directory=True)
    with new_file(folder / PARAMS) as temporary:
        YAML(typ="safe").dump(params.values, temporary)


def run_step(
    folder: Path,
    step: str,
    network: str,
    steps: Steps,
    environment: Mapping[str, str],
    watch: Callable[[subprocess.Popen], object] | None = None,
) -> tuple[int, int]:
    """Run pipeline/STEP.py in a copy, with its output in STEP.log; its exit status and its peak memory in bytes."""
    command = [sys.executable, "-m", "convzoo.trials.leash", str(os.getpid()), f"pipeline/{step}.py", network]
    whole = os.environ | {"PYTHONPATH": "src", "DVC_ROOT": str(folder)} | environment
    with (folder / f"{step}.log").open("wb") as log:
        return steps.run(command, watch, cwd=folder, env=whole, stdout=log, stderr=subprocess.STDOUT)


def last_lines(folder: Path, step: str) -> str:
    """The end of STEP.log, for a message."""
    lines = (folder / f"{step}.log").read_text(errors="replace").strip().splitlines()[-ERROR_LINES:]
    return "\n".join(lines).removeprefix("error: ")
