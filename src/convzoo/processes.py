"""Names for processes, with which another process can tell later whether they still run."""

import contextlib
import platform

import psutil


def process_name(number: int | None = None) -> str:
    """Host name, process ID and start time of a process (default: this one), which identify it; empty if it ended."""
    try:
        process = psutil.Process(number)
        return f"{platform.node()} {process.pid} {process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def is_here(name: str) -> bool:
    """Whether the named process runs, or ran, on this machine."""
    return name.rpartition(" ")[0].rpartition(" ")[0] == platform.node()


def is_alive(name: str) -> bool:
    """Whether the named process, of this machine, still runs."""
    return _process(name) is not None


def end_process(name: str, seconds: float) -> None:
    """Terminate a process of this machine, and kill it if it has not ended after `seconds`."""
    if process := _process(name):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.terminate()
            try:
                process.wait(seconds)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(seconds)


def _process(name: str) -> psutil.Process | None:
    _, number, start = name.rsplit(" ", 2)
    try:
        process = psutil.Process(int(number))
        is_same = f"{process.create_time():.2f}" == start and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:  # another user's process, but it exists
        return process
    return process if is_same else None
