"""Checks of what convzoo needs from a machine: Python, packages, disk, ports and the device of trainings."""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from convzoo.checks.check import check_locale
from convzoo.errors import ConvzooError

OK, WARNING, PROBLEM = "ok", "warning", "problem"
OLDEST_PYTHON = (3, 11)
PORTS = {  # and a command that takes another
    5000: "convzoo ui --port 5005",
    5001: "mlflow models serve -p 5005",
    8000: "convzoo serve --port 8080",
}
GIGABYTE = 10**9
FREE = {PROBLEM: 1, WARNING: 5}  # gigabytes; a clone takes about one after a run of the profile `starter`
# Extras of pyproject.toml.
OPTIONAL = {"kagglehub": "kaggle", "pytest": "dev", "ruff": "dev", "playwright": "dev", "webdataset": "stream"}
DEVICE_WAIT = 120  # seconds; the import of torch can take half a minute on a busy machine
# In a process of its own, since an installation of torch that is broken can end the whole process.
DEVICE = """
import json
from convzoo.settings.compute import compute_settings
from convzoo.settings.load import read_params
from convzoo.training.machine import resolved
print(json.dumps(resolved(compute_settings(read_params()))))
"""


class Finding(NamedTuple):
    """What a check found, and what to do about it."""

    status: str  # OK, WARNING or PROBLEM
    topic: str
    text: str
    remedy: str = ""


def check_python() -> Iterator[Finding]:
    """The version of Python, and its locale."""
    text = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < OLDEST_PYTHON:
        yield Finding(PROBLEM, "Python", f"{text} is too old", "install Python 3.11 or newer, then run: make setup")
    else:
        yield Finding(OK, "Python", text)
    try:
        check_locale()
    except ConvzooError as error:
        yield Finding(PROBLEM, "locale", str(error))


def check_packages() -> Iterator[Finding]:
    """The packages that convzoo requires, and those that only some tasks need."""
    needed = [Requirement(text) for text in requires("convzoo") or ()]
    missing, unfit, count = [], [], 0
    for requirement in needed:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        count += 1
        if (found := installed_version(requirement.name)) is None:
            missing.append(requirement.name)
        elif not requirement.specifier.contains(found, prereleases=True):
            unfit.append(f"{requirement.name} {found} (expected {requirement.specifier})")
    remedy = "run: make setup, or pip install -c constraints.txt -e ."
    if missing:
        yield Finding(PROBLEM, "packages", f"not installed: {', '.join(missing)}", remedy)
    if unfit:
        yield Finding(PROBLEM, "packages", f"wrong version: {', '.join(unfit)}", remedy)
    if not missing and not unfit:
        yield Finding(OK, "packages", f"all {count} required packages are installed")
    absent = {name: extra for name, extra in OPTIONAL.items() if installed_version(name) is None}
    if absent:
        extras = ",".join(dict.fromkeys(absent.values()))
        text = f"optional, not installed: {', '.join(absent)}"
        yield Finding(OK, "packages", text, f"if you need them, run: pip install -e '.[{extras}]'")


def installed_version(package: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_disk(folder: Path) -> Iterator[Finding]:
    """The free space of the disk that holds `folder`."""
    free = shutil.disk_usage(folder).free / GIGABYTE
    status = next((status for status, least in FREE.items() if free < least), OK)
    remedy = "" if status == OK else "make room; `dvc gc --workspace` removes cached results that nothing uses"
    yield Finding(status, "disk", f"{free:.1f} GB free", remedy)


def check_ports() -> Iterator[Finding]:
    """The ports of the servers that users start."""
    for port, other in PORTS.items():
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind(("127.0.0.1", port))
                yield Finding(OK, f"port {port}", "free")
            except OSError:
                yield Finding(WARNING, f"port {port}", "in use by another program", f"choose another: {other}")


@contextmanager
def device_check() -> Iterator[Callable[[], Finding]]:
    """Start to ask torch, which takes seconds, for the device of trainings; gives a function that waits for the answer.

    Runs in the project's folder.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", DEVICE],
        env=os.environ | {"PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield lambda: _device(process)
    finally:
        process.kill()
        process.communicate()


def _device(process: subprocess.Popen) -> Finding:
    try:
        out, problems = process.communicate(timeout=DEVICE_WAIT)
    except subprocess.TimeoutExpired:
        text = f"torch did not start within {DEVICE_WAIT} s"
        return Finding(WARNING, "device", text, "try again when the machine is idle")
    if process.returncode:
        last = (problems.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        remedy = "correct the block `compute` in params.yaml, or install torch again: make setup"
        return Finding(PROBLEM, "device", last.removeprefix("convzoo.errors.ConvzooError: "), remedy)
    found = json.loads(out.splitlines()[-1])
    plural = "" if found["threads"] == 1 else "s"
    threads = f", {found['threads']} thread{plural}" if found["device"] == "cpu" else ""
    return Finding(OK, "device", f"trainings run on {found['device']} in {found['precision']}{threads}")
