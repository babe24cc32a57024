"""Files that appear whole or not at all, digests of files, and JSON with the same bytes for the same values."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convzoo.errors import ConvzooError, DiskFullError, disk_is_full

CONFLICT = re.compile(rb"^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)  # git's markers of a conflict


class DamagedFileError(ConvzooError, ValueError):
    """A file that convzoo wrote and that holds something else now."""


def project_root() -> Path:
    """The folder of the clone in which DVC runs, or of the temporary copy that it makes for an experiment."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def sha256_of(file: Path) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(
    file: Path, expected: str | None, remedy: str, *, subject: str = "", reference: str = "", digits: int = 12
) -> str:
    """The sha256 of `file`; raises ConvzooError if it is not `expected`, which may be None for any.

    In the message, `subject` is what the file is called instead of its path, `reference` says where the expected
    sha256 is recorded, and `digits` is how many of the digits are printed.
    """
    found = sha256_of(file)
    if found != (expected or found):
        recorded = f"{expected[:digits]} {reference}".strip()
        raise ConvzooError(f"{subject or file}: has sha256 {found[:digits]}, expected {recorded}; {remedy}")
    return found


def copy_file(origin: Path, target: Path, sha256: str | None, remedy: str, *, subject: str) -> str:
    """Copy a file, check the copy against `sha256` unless that is None, and return the copy's sha256.

    Raises ConvzooError, with `subject` as the file's name, if it cannot be read or is another file; DiskFullError.
    """
    try:
        with room_for(target):
            shutil.copyfile(origin, target)
    except OSError as error:
        raise ConvzooError(f"{subject}: cannot be read ({error.strerror}); {remedy}") from None
    return check_sha256(target, sha256, remedy, subject=subject, digits=64)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; renamed to `path` at the end, removed after an error.

    Raises DiskFullError for `path` if the disk is full.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with room_for(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty temporary folder beside `path`; replaces `path` at the end, removed after an error.

    Raises DiskFullError for `path`, or for the file in it that was being written, if the disk is full.
    """
    temporary = path.with_name(f".{path.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with room_for(path, temporary):
            temporary.mkdir(parents=True)
            yield temporary
            shutil.rmtree(path, ignore_errors=True)
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def new_entries(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """An empty temporary folder inside `folder`, for the files and folders `names`.

    They get their final names in `folder`, in this order, once all of them are written; after an error they are
    removed. Raises DiskFullError for the one that the disk has no room for.
    """
    temporary = folder / ".new"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with room_for(folder, temporary):
            temporary.mkdir(parents=True)
            yield temporary
            for name in names:
                if (folder / name).is_dir():
                    shutil.rmtree(folder / name)
                (temporary / name).replace(folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def room_for(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn the error of a full disk into DiskFullError for `path`, never for its temporary name."""
    try:
        yield
    except DiskFullError as error:
        if temporary is None or not error.path.is_relative_to(temporary):
            raise
        raise DiskFullError(path / error.path.relative_to(temporary)) from error
    except Exception as error:
        if not disk_is_full(error):
            raise
        raise DiskFullError(path) from error


def write_json(path: Path, values: Any) -> None:
    """Write JSON with sorted keys, so that the same values always give the same bytes."""
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """The object in a JSON file, which must have `keys`.

    Raises DamagedFileError for a file that holds something else, and OSError.
    """
    remedy = "restore it: dvc checkout, or rebuild it: convzoo repro"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        conflict = "; git left conflict markers in it" if CONFLICT.search(path.read_bytes()) else ""
        problem = "is empty" if not path.stat().st_size else f"is not JSON ({error}){conflict}"
        raise DamagedFileError(f"{path}: {problem}, expected what convzoo wrote; {remedy}") from None
    if not isinstance(values, dict):
        raise DamagedFileError(f"{path}: holds a {type(values).__name__}, expected what convzoo wrote; {remedy}")
    if missing := [key for key in keys if key not in values]:
        raise DamagedFileError(f"{path}: lacks {', '.join(missing)}, expected what convzoo wrote; {remedy}")
    return values
