"""Runs of `dvc repro` with progress and a log, several at once."""

import contextlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from convzoo.repro.entries import read_lock, repair
from convzoo.repro.processes import Child, Children, environment
from convzoo.repro.progress import OF_DVC, WARNING, Display, Progress, Work

FAILED = ("ERROR: ", "WARNING: failed to run")  # DVC on stderr about the stage that runs
OF_DVC_ITSELF = ("ERROR: ", "WARNING: ")
STOPPED = "stopped"  # what a stage prints at Ctrl-C


class Job(NamedTuple):
    """A `dvc` to run."""

    command: Sequence[str]
    network: str = ""
    names: Sequence[str] = ()  # the network's stages


class _Running(NamedTuple):
    job: Job
    work: Work
    place: dict[str, str]  # what its environment has besides
    held: list[str]  # lines of stderr since the stage began


class Run:
    """Shows the progress of jobs and writes their output to a file; while it is entered, signals are sent to them."""

    def __init__(self, progress: Progress, log: Path) -> None:
        self.progress, self.display, self.children = progress, Display(progress), Children()
        self.file, self.lock = log, read_lock()
        self.jobs: dict[Child, _Running] = {}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.log = stack.enter_context(self.file.open("w", encoding="utf-8", buffering=1))
            stack.enter_context(self.children.forwarding())
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    @property
    def is_stopped(self) -> bool:
        """Whether a signal came."""
        return bool(self.children.signals)

    def run(self, jobs: Iterable[Job], places: Sequence[Mapping[str, str]] = ({},)) -> int:
        """Run jobs, one in each place at a time; the exit code of the first that failed.

        Errors and warnings of DVC are printed as they come, after what the stage printed to stderr. After a signal, no
        other job starts, and that the stages and DVC were stopped is not repeated.
        """
        waiting, free, code = list(jobs), list(places), 0
        self._start(waiting, free)
        for child, stream, line in self.children.lines():
            if child is None:
                self.display.update()
            elif line is not None:
                self._take(line, stream is sys.stderr, self.jobs[child])
            else:
                ended = self._end(child)
                code = code or ended
                free.insert(0, self.jobs.pop(child).place)
                self._start(waiting, free)
        self.display.clear()
        return code

    def _start(self, waiting: list[Job], free: list[Mapping[str, str]]) -> None:
        while waiting and free and not self.is_stopped:
            job, place = waiting.pop(0), free.pop(0)
            work = self.progress.begin(job.names)
            child = self.children.start(job.command, environment(place))
            self.jobs[child] = _Running(job, work, place, [])
            if job.names:
                self.progress.queue = [job.names for job in waiting]

    def _take(self, line: str, is_error: bool, running: _Running) -> None:
        """Take in a line of a process."""
        job, work, _, held = running
        self.log.write(f"{job.network}: {line}\n" if job.network else f"{line}\n")
        if is_error and self.is_stopped:
            if line != STOPPED and not line.startswith(OF_DVC_ITSELF):
                self.display.print(line, sys.stderr)
        elif is_error:
            held.append(line)
            if line.startswith(FAILED):
                self.progress.fail(work)
            if line.startswith(OF_DVC_ITSELF):
                self._release(held)
        elif self.progress.read(line, work):
            held.clear()
            self.display.update()
        elif WARNING.match(line) or (work.stage == "check" and not OF_DVC.match(line)):
            self.display.print(line)

    def _end(self, child: Child) -> int:
        """A process has ended: its exit code, as a shell has it for one that was ended by a signal."""
        _, work, _, held = self.jobs[child]
        code = child.process.returncode
        if not code:
            self.progress.finish(work)
        elif not self.is_stopped:
            self._release(held)
            if code < 0:
                self.display.print(f"{work.stage or 'dvc'}: killed by signal {-code}", sys.stderr)
        if code < 0 or self.is_stopped:
            repair(self.lock)
        self.progress.end(work, self.is_stopped)
        self.display.update()
        return code if code >= 0 else 128 - code

    def _release(self, held: list[str]) -> None:
        for line in held:
            self.display.print(line, sys.stderr)
        held.clear()
