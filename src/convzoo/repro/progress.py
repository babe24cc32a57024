"""What a `dvc repro` is doing, from the lines that it prints, and how that is shown."""

import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TextIO

from convzoo.repro.durations import estimate, scaled
from convzoo.repro.plan import Plan

# DVC's lines about a stage, with the status that they mean.
LINES = {
    "running": re.compile(r"Running stage '(.+)':"),
    "unchanged": re.compile(r"Stage '(.+)' didn't change, skipping"),
    "cached": re.compile(r"Stage '(.+)' is cached - skipping run, checking out outputs"),
}
EPOCH = re.compile(r"\S+ epoch (\d+)/(\d+) .*\(([\d.]+) s\)")  # training/progress.py
WARNING = re.compile(r"(\S+: )?warning: ")  # as stages print them
OF_DVC = re.compile(r"> |(Generating|Updating) lock file |$")
QUIET_SECONDS = 60  # without a terminal, a line about a stage that runs longer than this


class Epoch(NamedTuple):
    """The last epoch of a training that is complete."""

    number: int
    count: int  # of all epochs
    seconds: float
    ended: float  # by the clock


class Progress:
    """Where the run is. `status` has `ran`, `unchanged`, `cached` or `failed` for each stage that is behind it."""

    def __init__(
        self,
        plan: Plan,
        durations: Mapping[str, float],  # of earlier runs of this clone, in seconds by stage
        reference: Mapping[str, float],  # of another machine
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.plan, self.durations, self.reference, self.clock = plan, durations, reference, clock
        self.status: dict[str, str] = {}
        self.seconds: dict[str, float] = {}  # of the stages that ran
        self.messages: dict[str, list[str]] = {}  # by stage, the lines that it printed to stdout
        self.stage: str | None = None  # the one that runs
        self.epoch: Epoch | None = None
        self.begun = self.started = clock()
        self._pending = plan.pending(self.status)

    def read(self, line: str) -> bool:
        """Take in a line of DVC's stdout; whether another stage began, or was skipped."""
        for status, pattern in LINES.items():
            if match := pattern.fullmatch(line):
                self.finish()
                self.stage, self.started, self.epoch = match[1], self.clock(), None
                if status != "running":
                    self.status[match[1]], self.stage = status, None
                return True
        if self.stage and not OF_DVC.match(line):
            self.messages.setdefault(self.stage, []).append(line)
            if match := EPOCH.match(line):
                self.epoch = Epoch(int(match[1]), int(match[2]), float(match[3]), self.clock())
        return False

    def finish(self) -> None:
        """The stage that runs has ended well."""
        if self.stage:
            self.status[self.stage], self.seconds[self.stage] = "ran", self.clock() - self.started
            self.stage = None
        self._pending = self.plan.pending(self.status)

    def fail(self) -> None:
        """The stage that runs has failed."""
        if self.stage:
            self.status[self.stage], self.stage = "failed", None

    def position(self, number: int) -> str:
        """The number of a stage, as in [23/64]."""
        count = self.plan.count
        return f"[{number}/{count}]" if count and number <= count else f"[{number}]"

    def seconds_left(self) -> float | None:
        """An estimate for the run; None if nothing is known of the time of a stage that is to run."""
        if self.plan.count is None:
            return None
        later = estimate([name for name in self._pending if name != self.stage], self._expected())
        current = self._seconds_of_stage()
        return None if later is None or current is None else later + current

    def _expected(self) -> dict[str, float]:
        """How long each stage took here, otherwise how long it will probably take, given the reference."""
        here = {**self.durations, **self.seconds}
        return scaled(self.reference, here) | here

    def _seconds_of_stage(self) -> float | None:
        """How long the stage that runs will still take."""
        if not self.stage:
            return 0.0
        now, epoch = self.clock(), self.epoch
        if epoch:
            return max(0.0, (epoch.count - epoch.number) * epoch.seconds - (now - epoch.ended))
        expected = estimate([self.stage], self._expected())
        return None if expected is None else max(0.0, expected - (now - self.started))

    def text(self) -> str:
        """One line about the stage that runs."""
        if not self.stage:
            return f"{self.position(len(self.status))} dvc looks for changes"
        parts = [f"{self.position(len(self.status) + 1)} {self.stage}"]
        if self.epoch:
            parts.append(f"epoch {self.epoch.number}/{self.epoch.count}")
        parts.append(duration(self.clock() - self.started))
        left, where = self.seconds_left(), ""
        if left is None and self.epoch:
            left, where = self._seconds_of_stage(), " in this stage"
        if left and left >= 1:  # less is a stage that takes longer than before
            parts.append(f"about {duration(left)} left{where}")
        return ", ".join(parts)


class Display:
    """Shows the progress: one line that is overwritten on a terminal, otherwise a line for each stage that ran."""

    def __init__(self, progress: Progress, stream: TextIO | None = None) -> None:
        self.progress, self.stream = progress, stream or sys.stdout
        self.terminal = self.stream.isatty()
        self.width = 0  # of the line on the terminal
        self.shown_at = progress.clock()
        self.listed = 0  # stages of the progress's status

    def update(self) -> None:
        """Show where the run is."""
        if self.terminal:
            line = self.progress.text()[: shutil.get_terminal_size().columns - 1]
            self.stream.write(f"\r{line.ljust(self.width)}")
            self.stream.flush()
            self.width = len(line)
            return
        now, progress = self.progress.clock(), self.progress
        for name, status in list(progress.status.items())[self.listed :]:
            self.listed += 1
            if status != "unchanged":
                took = {"cached": "restored from DVC's cache", "failed": "failed"}.get(status)
                took = took or duration(progress.seconds[name])
                self._line(f"{progress.position(self.listed)} {name}: {took}", now)
        if progress.stage and now - max(self.shown_at, progress.started) >= QUIET_SECONDS:
            self._line(progress.text(), now)

    def clear(self) -> None:
        """Remove the line from the terminal, so that something else can be printed."""
        if self.width:
            self.stream.write(f"\r{' ' * self.width}\r")
            self.stream.flush()
            self.width = 0

    def print(self, line: str, stream: TextIO | None = None) -> None:
        """Print a line above that of the progress."""
        self.clear()
        print(line, file=stream or self.stream, flush=True)

    def _line(self, line: str, now: float) -> None:
        print(line, file=self.stream, flush=True)
        self.shown_at = now


def duration(seconds: float) -> str:
    """A time as text, as in `8 s`, `1 min 12 s` and `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s" if round(seconds) < 60 else "1 min"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
