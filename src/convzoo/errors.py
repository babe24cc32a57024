"""Errors that a user can cause and fix, and how a stage or command prints them."""

import difflib
import errno
import gc
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # the disk is full, or the user's quota is used up
# Messages without an errno: from Rust (so from safetensors), and from NumPy when it wrote only part of an array.
NO_SPACE_TEXT = re.compile(rf"\(os error ({'|'.join(map(str, NO_SPACE))})\)|\d+ requested and \d+ written")

ERRNO = re.compile(r"\[Errno -?\d+\] ")  # Python writes it before the message of an error of the operating system
ACCOUNT = re.compile(r"(?<=://)[^/\s@]+@")
# PyTorch's message about an operation without a deterministic implementation, if only such operations are allowed.
NOT_DETERMINISTIC = re.compile(r"(\S+) does not have a deterministic implementation")

# Problem with what was expected, and remedy, for errors of the operating system about a path.
RIGHTS = "change its owner or mode, or choose another place"
SYSTEM = {
    errno.EACCES: ("may not be read or written by this user, expected permission", RIGHTS),
    errno.EPERM: ("may not be changed by this user, expected permission", RIGHTS),
    errno.EROFS: ("is on a read-only file system, expected one that can be written", "choose another place"),
    errno.ENOENT: ("does not exist, expected a file or folder", "check the path"),
    errno.ENOTDIR: ("is not a folder, or lies below a file, expected a folder", "move the file away"),
    errno.EISDIR: ("is a folder, expected a file", "move the folder away"),
    errno.EEXIST: ("is in the way, expected nothing there", "move it away"),
    errno.ENOTEMPTY: ("is a folder that is not empty, expected nothing there", "move it away"),
    errno.ENAMETOOLONG: ("has a name that is too long, expected a shorter one", "rename it"),
    errno.ELOOP: ("is a link that leads back to itself, expected a file or folder", "remove the link"),
    errno.EMFILE: ("cannot be opened, this process has too many open files", "raise the limit: ulimit -n 4096"),
    errno.ENFILE: ("cannot be opened, too many files are open", "close other programs"),
    errno.EIO: ("cannot be read or written, the disk reports an error", "check the disk"),
    errno.ENOEXEC: ("cannot be run, expected a program of this system", "install it again"),
}
TEMPORARY = re.compile(r"^\.(.+)\.new$")  # how convzoo.files names what is not complete

STORE_PACKAGES = ("mlflow", "sqlalchemy", "sqlite3")  # their errors mean that the store failed, not convzoo
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
            f"{path}: cannot be written, the disk is full, expected room for it; make some and run the same command "
            "again, which continues after what was finished"
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
    return ERRNO.sub("", lines[0]) if lines else type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question for a message, with the name among `known` that is closest to `name`; empty if it is one of them."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{close[0]}'? " if close and close != [name] else ""


def show(error: ConvzooError) -> None:
    """Print each line of an error to stderr, and above it the traceback if CONVZOO_TRACEBACK is 1."""
    if os.environ.get("CONVZOO_TRACEBACK") == "1":
        print(without_account(traceback.format_exc()), file=sys.stderr)
    for line in ERRNO.sub("", without_account(str(error))).splitlines():
        print(f"error: {line}", file=sys.stderr)


def explained(error: BaseException) -> ConvzooError | None:
    """The error as one that the user can fix; None for any other."""
    if isinstance(error, ConvzooError):
        return error
    if disk_is_full(error):
        return DiskFullError(_final_path(getattr(error, "filename", None) or "."))
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return _of_the_system(error)
    if isinstance(error, RuntimeError) and (match := NOT_DETERMINISTIC.match(str(error))):
        return ConvzooError(
            f"{match[1]}: has no deterministic form on this device, expected one since compute.deterministic is "
            "true; set it to false in params.yaml, use another layer, or train with compute.device: cpu"
        )
    if type(error).__module__.partition(".")[0] in STORE_PACKAGES:
        return ConvzooError(
            f"MLflow's store failed ({type(error).__name__}: {first_line(error)}), expected a working one; check "
            "MLFLOW_TRACKING_URI, or work without it: CONVZOO_TRACKING=off (CONVZOO_TRACEBACK=1 shows where)"
        )
    return None


def _of_the_system(error: OSError) -> ConvzooError:
    """The message for an error of the operating system, with the path as the user knows it."""
    reason = error.strerror or first_line(error)
    if not isinstance(error.filename, str | bytes | Path):
        return ConvzooError(
            f"{reason}; check the disk, the network and what else runs, then run the same command again"
        )
    problem, remedy = SYSTEM.get(
        error.errno, (f"cannot be used ({reason}), expected a file or folder that can be", "check the disk")
    )
    return ConvzooError(f"{_final_path(error.filename)}: {problem}; {remedy}")


def _final_path(name: str | bytes | Path) -> Path:
    """The path that is meant by one of the temporary names of convzoo.files."""
    parts = []
    for part in Path(os.fsdecode(name)).parts:
        while match := TEMPORARY.match(part):
            part = match[1]
        parts += [part] if part != ".new" else []
    return Path(*parts)


def main(function: Callable[..., object]) -> None:
    """Run `function` with the command line's arguments; print an error that the user can fix and exit with code 1."""
    sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold bytes that are not text
    try:
        function(*sys.argv[1:])
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        gc.freeze()  # a last collection over all objects of PyTorch and MLflow takes up to three seconds
        sys.exit(130)
    except Exception as error:
        message = explained(error)
        if message is None:
            raise
        show(message)
        sys.exit(1)
