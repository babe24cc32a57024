"""Files that appear whole or not at all, and text that is the same for the same values."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def project_root() -> Path:
    """The folder of the clone: where DVC runs, also when it works in a temporary copy for an experiment."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def sha256_of(file: Path) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; renamed to `path` at the end, removed after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty temporary folder beside `path`; takes the place of `path` at the end, removed after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, values: Any) -> None:
    """Write JSON with sorted keys, so that the same values always give the same bytes."""
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The values in a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
