"""Errors that a user can cause and mend, and how an entry shows them."""

import errno
import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # the disk is full, or what of it is the user's
# What says so without an errno: Rust, and with it safetensors, and NumPy when it could write a part of an array.
NO_SPACE_TEXT = re.compile(rf"\(os error ({'|'.join(map(str, NO_SPACE))})\)|\d+ requested and \d+ written")

ACCOUNT = re.compile(r"(?<=://)[^/\s@]+@")
# What torch says of an operation where only deterministic ones may run.
NOT_DETERMINISTIC = re.compile(r"(\S+) does not have a deterministic implementation")

SQLALCHEMY_HINT = "(raised as a result of "  # begins a line that sqlalchemy may write above the error itself


class ConvzooError(Exception):
    """Something that the user can mend; its text says what it is about, what was expected and what to do."""


class SettingsError(ConvzooError):
    """One line for each thing that is wrong with params.yaml."""


class DiskFullError(ConvzooError):
    """There is no room left for the file or folder `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path}: cannot be written, the disk is full, expected room for it; make some and run the same again, "
            "which goes on from what was finished"
        )


def disk_is_full(error: BaseException) -> bool:
    """Whether an error of the system, of safetensors or of NumPy says that there is no room left on a disk."""
    return getattr(error, "errno", None) in NO_SPACE or bool(NO_SPACE_TEXT.search(str(error)))


def without_account(text: str) -> str:
    """`text` without the user names and passwords in its addresses."""
    return ACCOUNT.sub("", text)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the error's type if it has no message."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith(SQLALCHEMY_HINT)]
    return lines[0] if lines else type(error).__name__


def show(error: ConvzooError) -> None:
    """Print each line of an error to stderr."""
    for line in without_account(str(error)).splitlines():
        print(f"error: {line}", file=sys.stderr)


def main(function: Callable[..., object]) -> None:
    """Run `function` with the command line's arguments; a mendable error is printed as one, with exit code 1."""
    try:
        function(*sys.argv[1:])
    except ConvzooError as error:
        show(error)
        sys.exit(1)
    except OSError as error:
        if not disk_is_full(error):
            raise
        show(DiskFullError(Path(error.filename or ".")))
        sys.exit(1)
    except RuntimeError as error:
        found = NOT_DETERMINISTIC.match(str(error))
        if not found:
            raise
        show(
            ConvzooError(
                f"{found[1]}: has no deterministic form on this device, expected one since compute.deterministic is "
                "true; set it to false in params.yaml, use another layer, or train with compute.device: cpu"
            )
        )
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        gc.freeze()  # a last collection over all that torch and mlflow brought along takes up to three seconds
        sys.exit(130)
