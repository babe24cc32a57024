"""Processes of DVC that run at once: their lines as they come, and signals for all of them."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TextIO

TICK = 1.0  # seconds between two updates of the display
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child:
    """A `dvc` in a process group of its own: a signal reaches it and its stages once, wherever it was sent to."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            process_group=0,
        )
        self.pipes = {self.process.stdout: sys.stdout, self.process.stderr: sys.stderr}
        self.rests = dict.fromkeys(self.pipes, b"")  # what has no line end yet
        self.is_left_alone = self.is_signalled = False
        for pipe in self.pipes:
            os.set_blocking(pipe.fileno(), False)

    def send(self, number: int) -> None:
        """Send a signal to DVC and its stages."""
        self.is_signalled = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def end_stage(self) -> None:
        """If DVC was killed, end the stage that it left alone, which keeps what it keeps when it is stopped."""
        code = self.process.poll()
        if code is not None and code < 0 and not self.is_left_alone:
            self.is_left_alone = True
            self.send(signal.SIGTERM)

    def read(self) -> Iterator[tuple[TextIO, str]]:
        """The lines that have come. One of stderr comes after all that was printed to stdout before it."""
        chunks = {pipe: pipe.readall() for pipe in reversed(self.pipes)}
        for pipe, stream in list(self.pipes.items()):
            chunk = chunks[pipe]
            if chunk is None:  # nothing for now
                continue
            *lines, self.rests[pipe] = (self.rests[pipe] + chunk).split(b"\n")
            if not chunk:  # the end
                lines += [self.rests[pipe]] if self.rests[pipe] else []
                self._close(pipe)
            for line in lines:
                yield stream, line.removesuffix(b"\r").decode("utf-8", "backslashreplace")

    def _close(self, pipe: IO[bytes]) -> None:
        del self.pipes[pipe]
        pipe.close()


class Children:
    """The processes that run. `signals` are those that came meanwhile, and that were sent on to all of them."""

    def __init__(self) -> None:
        self.running: list[Child] = []
        self.signals: list[int] = []

    @contextlib.contextmanager
    def forwarding(self) -> Iterator[None]:
        """Send signals on to the processes. One that is ignored, as under nohup, stays ignored."""

        def forward(number: int, frame: object) -> None:
            self.signals.append(number)
            for child in self.running:
                child.send(number)

        before = {number: signal.getsignal(number) for number in FORWARDED}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, forward)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Start another process."""
        before = len(self.signals)
        child = Child(command, environment)
        self.running.append(child)
        if len(self.signals) > before and not child.is_signalled:  # it came while the process started
            child.send(self.signals[-1])
        return child

    def lines(self) -> Iterator[tuple[Child | None, TextIO, str | None]]:
        """The lines of all processes as they come, until none is left; others may be started meanwhile.

        Without a line, a process has ended; without a process, a second has passed.
        """
        while self.running:
            with selectors.DefaultSelector() as selector:
                for child in self.running:
                    for pipe in child.pipes:
                        selector.register(pipe, selectors.EVENT_READ, child)
                ready = {key.data for key, _ in selector.select(TICK)}
            if not ready:
                yield None, sys.stdout, None
            for child in [child for child in self.running if child in ready]:
                for stream, line in child.read():
                    yield child, stream, line
            for child in list(self.running):
                child.end_stage()
                if not child.pipes:
                    child.process.wait()
                    self.running.remove(child)
                    yield child, sys.stdout, None


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """That of DVC: its stages call `python`, which must be this one, and their lines must come at once."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"} | more
