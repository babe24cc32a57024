"""Files that appear whole or not at all, and text that is the same for the same values."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convzoo.errors import DiskFullError, disk_is_full


def project_root() -> Path:
    """The folder of the clone: where DVC runs, also when it works in a temporary copy for an experiment."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def sha256_of(file: Path) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; renamed to `path` at the end, removed after an error.

    Raises DiskFullError for `path` where there is no room left.
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
    """An empty temporary folder beside `path`; takes the place of `path` at the end, removed after an error.

    Raises DiskFullError for `path`, or what is in it, where there is no room left.
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

    At the end they take their final names in `folder`, in this order, once all of them are written; after an error
    they are removed. Raises DiskFullError for the one that there is no room for.
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
    """Raises DiskFullError for `path` where what is done inside finds the disk full; never for its temporary name."""
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


def read_json(path: Path) -> Any:
    """The values in a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
