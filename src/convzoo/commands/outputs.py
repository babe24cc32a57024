"""Folders that a command's user names for what it makes."""

import os
from pathlib import Path

from convzoo.errors import ConvzooError


def must_be_free(folder: Path) -> None:
    """Raises ConvzooError where `folder`, the value of --out, is there already and is not an empty folder."""
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ConvzooError(f"--out: {folder} is there already and not an empty folder; name a new one")


def cannot_be_written(folder: Path, error: OSError) -> ConvzooError:
    """The error that says why nothing can be written to `folder`, the value of --out."""
    return ConvzooError(f"--out: {folder}: cannot be written ({error.strerror or error}); name another one")
