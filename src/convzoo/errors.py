"""Errors that a user can cause and fix, and how a stage or command prints them."""

import errno
import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # the disk is full, or the user's quota is used up
# Messages without an errno: from Rust (so from safetensors), and from NumPy when it wrote only part of an array.
NO_SPACE_TEXT = re.compile(rf"\(os error ({'|'.join(map(str, NO_SPACE))})\)|\d+ requested and \d+ written")

ACCOUNT = re.compile(r"(?<=://)[^/\s@]+@")
# PyTorch's message about an operation without a deterministic implementation, if only such operations are allowed.
NOT_DETERMINISTIC = re.compile(r"(\S+) does not have a deterministic implementation")

SQLALCHEMY_HINT = "(raised as a result of "  # the start of a line that SQLAlchemy may write above the error itself


class ConvzooError(Exception):
    """An error that the user can fix; its message says what is wrong, what was expected and what to do."""


class SettingsError(ConvzooError):
    """Mistakes in params.yaml, one per line."""


class DiskFullError(ConvzooError):
    """The disk has no room for the file or folder `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path}: cannot be written, the disk is full, expected room for it; make some and run the same again, "
            "which goes on from what was finished"
        )


def disk_is_full(error: BaseException) -> bool:
    """Whether an error of the operating system, safetensors or NumPy means that a disk is full."""
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
    """Run `function` with the command line's arguments; print an error that the user can fix and exit with code 1."""
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
        match = NOT_DETERMINISTIC.match(str(error))
        if not match:
            raise
        show(
            ConvzooError(
                f"{match[1]}: has no deterministic form on this device, expected one since compute.deterministic is "
                "true; set it to false in params.yaml, use another layer, or train with compute.device: cpu"
            )
        )
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        gc.freeze()  # a last collection over all objects of PyTorch and MLflow takes up to three seconds
        sys.exit(130)
