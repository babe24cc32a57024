"""What a `dvc repro` is doing, from the lines that it prints, and how that is shown."""

import heapq
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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


class Work:
    """What one `dvc repro` is doing: the stage that runs, if any. `names` are its stages if they are a network's."""

    def __init__(self, names: Sequence[str], started: float) -> None:
        self.names, self.started = names, started
        self.stage: str | None = None
        self.epoch: Epoch | None = None


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
        self.begun = clock()
        self.works: list[Work] = []  # the processes at work
        self.queue: list[Sequence[str]] = []  # the stages of each network that waits for its turn
        self.places = 1  # processes at most, while networks run side by side
        self.given_up: set[str] = set()  # the stages of networks of which one failed
        self._pending = plan.pending(self.status)

    def begin(self, names: Sequence[str] = ()) -> Work:
        """A process starts: that of a network with the stages `names`, otherwise one for all stages."""
        self.works.append(Work(names, self.clock()))
        return self.works[-1]

    def end(self, work: Work, is_stopped: bool = False) -> None:
        """A process has ended. The stage that it was running, if any, has failed unless the user stopped it."""
        if not is_stopped:
            self.fail(work)
        self.works.remove(work)
        if any(self.status.get(name) == "failed" for name in work.names):
            self.given_up.update(work.names)

    def read(self, line: str, work: Work) -> bool:
        """Take in a line of DVC's stdout; whether another stage began, or was skipped."""
        for status, pattern in LINES.items():
            if match := pattern.fullmatch(line):
                if work.stage:
                    self._passed(work)
                work.started, work.epoch = self.clock(), None
                if status == "running":
                    work.stage = match[1]
                else:
                    self.status.setdefault(match[1], status)  # the last process passes all that the others did
                self._pending = self.plan.pending(self.status)
                return True
        if work.stage and not OF_DVC.match(line):
            self.messages.setdefault(work.stage, []).append(line)
            if match := EPOCH.match(line):
                work.epoch = Epoch(int(match[1]), int(match[2]), float(match[3]), self.clock())
        return False

    def finish(self, work: Work) -> None:
        """The stage that runs has ended well."""
        if work.stage:
            self._passed(work)
        self._pending = self.plan.pending(self.status)

    def _passed(self, work: Work) -> None:
        self.status[work.stage], self.seconds[work.stage] = "ran", self.clock() - work.started
        work.stage = None

    def fail(self, work: Work) -> None:
        """The stage that runs has failed."""
        if work.stage:
            self.status[work.stage], work.stage = "failed", None

    def position(self, number: int) -> str:
        """The number of a stage, as in [23/64]."""
        count = self.plan.count
        return f"[{number}/{count}]" if count and number <= count else f"[{number}]"

    def seconds_left(self) -> float | None:
        """An estimate for the run; None if nothing is known of the time of a stage that is to run."""
        if self.plan.count is None:
            return None
        passed = self.given_up | {work.stage for work in self.works}
        later = [name for name in self._pending if name not in passed]
        shared = [self._seconds_of(work) for work in self.works if not work.names]
        busy = [self._seconds_of(work, later) for work in self.works if work.names]
        waiting = [self.expected([name for name in later if name in names]) for names in self.queue]
        alone = {name for names in (*(work.names for work in self.works), *self.queue) for name in names}
        shared.append(self.expected([name for name in later if name not in alone]))
        if None in (*shared, *busy, *waiting):
            return None
        # Each network that waits takes the place that is free first.
        places = sorted(busy + [0.0] * (self.places - len(busy)))
        for seconds in waiting:
            heapq.heappush(places, heapq.heappop(places) + seconds)
        return sum(shared) + max(places)

    def expected(self, names: Iterable[str]) -> float | None:
        """How long stages will probably take one after another: as long as here before, or as in the reference."""
        here = {**self.durations, **self.seconds}
        return estimate(names, scaled(self.reference, here) | here)

    def _seconds_of(self, work: Work, later: Iterable[str] = ()) -> float | None:
        """How long the stage that runs will still take, with those of `later` that its process will run."""
        rest = self.expected([name for name in later if name in work.names])
        if not work.stage or rest is None:
            return rest
        now, epoch = self.clock(), work.epoch
        if epoch:
            return rest + max(0.0, (epoch.count - epoch.number) * epoch.seconds - (now - epoch.ended))
        expected = self.expected([work.stage])
        return None if expected is None else rest + max(0.0, expected - (now - work.started))

    def text(self, width: int = 1000) -> str:
        """One line about the stages that run, of `width` characters if some of them need not be named."""
        busy = [work for work in self.works if work.stage]
        passed = len(self.status.keys() | {work.stage for work in busy})
        if not busy:
            return f"{self.position(passed)} dvc looks for changes"
        left, where = self.seconds_left(), ""
        if left is None and len(busy) == 1 and busy[0].epoch:
            left, where = self._seconds_of(busy[0]), " in this stage"
        # Less than a second is a stage that takes longer than before.
        ending = [f"about {duration(left)} left{where}"] if left and left >= 1 else []
        if len(busy) == 1:
            times = [f"epoch {epoch.number}/{epoch.count}"] if (epoch := busy[0].epoch) else []
            times.append(duration(self.clock() - busy[0].started))
            return ", ".join([f"{self.position(passed)} {busy[0].stage}", *times, *ending])
        head = f"{self.position(passed)} {len(busy)} jobs: "
        shown = [
            f"{work.stage} epoch {work.epoch.number}/{work.epoch.count}" if work.epoch else work.stage for work in busy
        ]
        for count in range(len(shown), 0, -1):
            more = [f"{len(shown) - count} more"] if count < len(shown) else []
            line = head + ", ".join([*shown[:count], *more, *ending])
            if len(line) <= width:
                break
        return line


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
            width = shutil.get_terminal_size().columns - 1
            line = self.progress.text(width)[:width]
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
        started = [work.started for work in progress.works if work.stage]
        if started and now - max(self.shown_at, min(started)) >= QUIET_SECONDS:
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
