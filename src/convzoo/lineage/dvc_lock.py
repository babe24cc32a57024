"""DVC's lock on the project.

DVC holds it while it reads or writes dvc.lock, and releases it while the command of a stage runs. It writes dvc.lock in
place, so that whoever reads the file without the lock can see a part of it.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = Path(".dvc/tmp/lock")
LOCK_WAIT = 60  # seconds; other DVC commands than repro, such as a push, keep the lock for as long as they take
PAUSE = 0.02  # seconds between two attempts


@contextmanager
def no_dvc_writes() -> Iterator[bool]:
    """Keep DVC and other users of this function out; whether that succeeded.

    It does not if another process holds the lock for more than LOCK_WAIT seconds. Where DVC has never run, there is
    nobody to keep out.
    """
    try:
        file = LOCK.open("r+b")  # never created here: DVC would take that for a lock, if set to use hard links
    except OSError:
        yield True
        return
    with file:
        deadline, is_held = time.monotonic() + LOCK_WAIT, False
        while not is_held and time.monotonic() < deadline:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_held = True
            if not is_held:
                time.sleep(PAUSE)
        yield is_held
