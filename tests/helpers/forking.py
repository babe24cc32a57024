"""Runs pytest in forks of one process that has imported all libraries already. Imports nothing of convzoo."""

import contextlib
import gc
import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

MEMORY = 12 * 2**30  # bytes that a fork may allocate: a mutant can ask for any number of images


class Ran(NamedTuple):
    """How a fork ended."""

    passed: bool
    failed: list[str]  # tests
    libraries: list[str]  # that the fork imported; only of a run that passed and keeps its bytecode
    seconds: float


class Reporter:
    """A plugin that first runs the tests that failed most often before, and writes down which one fails."""

    def __init__(self, failures: Counter[str], folder: Path) -> None:
        self.failures, self.folder = failures, folder

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: -self.failures[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            (self.folder / "failed").write_text(report.nodeid)


def run_forked(tests: list[str], failures: Counter[str], limit: float, keep_bytecode: bool = False) -> Ran:
    """Run `tests` up to the first failure; after `limit` seconds they have failed."""
    folder, started = Path(tempfile.mkdtemp(prefix="mutant-")), time.monotonic()
    gc.freeze()
    child = os.fork()
    if not child:
        run_here(tests, Reporter(failures, folder), keep_bytecode)
    ended, status = 0, 1
    try:
        while not ended and time.monotonic() - started < limit:
            time.sleep(0.02)
            ended, status = os.waitpid(child, os.WNOHANG)
    finally:  # also what hangs, what the tests have started and left, and everything if the user has had enough
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)  # before it has a group of its own
            os.waitpid(child, 0)
    lines = {file.name: file.read_text().splitlines() for file in folder.iterdir() if file.is_file()}
    shutil.rmtree(folder, ignore_errors=True)
    passed, seconds = bool(ended) and status == 0, time.monotonic() - started
    return Ran(passed, lines.get("failed", []), lines.get("libraries", []), seconds)


def run_here(tests: list[str], reporter: Reporter, keep_bytecode: bool) -> None:
    """The life of a fork: it ends with pytest's exit code."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        with open(os.devnull, "r+b") as nowhere:  # noqa: PTH123 (a device)
            for stream in (0, 1, 2):
                os.dup2(nowhere.fileno(), stream)
        if not keep_bytecode:  # that of a mutant would be taken for that of the next
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        os.environ["TMPDIR"] = tempfile.tempdir = str(reporter.folder)
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--basetemp", f"{reporter.folder}/tests"]
        code = int(pytest.main([*options, *tests], plugins=[reporter]))
        if not code and keep_bytecode:
            (reporter.folder / "libraries").write_text("\n".join(libraries()))
    finally:
        os._exit(code)


def libraries() -> list[str]:
    """The imported modules that are not of this project."""
    paths = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    return sorted(name for name, path in paths.items() if "site-packages" in path and name.isidentifier())


def preload(names: list[str]) -> None:
    """Import libraries for all forks to come; one that cannot be imported on its own is left to the forks."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    torch = sys.modules.get("torch")
    if torch:
        torch.set_num_threads(1)  # a fork has none of its parent's threads
