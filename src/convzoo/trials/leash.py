"""Runs Python with arguments, and ends if its parent dies (on Linux): python -m convzoo.trials.leash PARENT ARGUMENTS.

Otherwise, a training would continue after its sweep was killed, at the same time as the next attempt of its trial.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); stays in force after exec


def main() -> None:
    """Become the program; do nothing if the parent died before."""
    parent, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == int(parent):
        os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main()
