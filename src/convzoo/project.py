"""Finds the project that a command is meant for, so that commands work from any folder in it."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convzoo.errors import ConvzooError

MARK = "src/convzoo"  # a folder that every clone has and nothing else


def find_project() -> Path | None:
    """The nearest folder with a clone of convzoo, from the current one (DVC_ROOT if DVC set it) upward; or None."""
    start = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    return next((folder for folder in (start, *start.parents) if (folder / MARK).is_dir()), None)


@contextmanager
def in_project() -> Iterator[Path]:
    """Work in the project's folder, to which the paths of its files are relative, and then in the previous one again.

    Raises ConvzooError outside a project.
    """
    folder = find_project()
    if folder is None:
        raise ConvzooError(
            f"{Path.cwd()}: is not in a convzoo project, expected the folder of your clone or one below it; "
            "run this from the project's folder"
        )
    with contextlib.chdir(folder):
        yield folder
