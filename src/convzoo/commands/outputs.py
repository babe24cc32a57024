"""Checks of the output folder that a command writes to."""

import os
from pathlib import Path

from convzoo.errors import ConvzooError


def must_be_free(folder: Path) -> None:
    """Raises ConvzooError if `folder`, the value of --out, exists and is not an empty folder."""
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ConvzooError(f"--out: {folder} already exists and is not an empty folder; choose a new one")


def cannot_be_written(folder: Path, error: OSError) -> ConvzooError:
    """The error for an output folder, the value of --out, that cannot be written."""
    return ConvzooError(f"--out: {folder}: cannot be written ({error.strerror or error}); choose another folder")
