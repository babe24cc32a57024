"""Manifests: one CSV row per image, in the order of the arrays."""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ("id", "sha256", "label", "height", "width", "channels", "min", "max", "mean", "std")
CHUNK_BYTES = 1 << 22  # of images processed at a time, so that memory stays bounded


def digests(images: np.ndarray) -> list[str]:
    """The sha256 of each image's H*W*C pixel bytes, for images uint8 (N, H, W, C)."""
    return [hashlib.sha256(np.ascontiguousarray(image).data).hexdigest() for image in images]


def image_rows(ids: Sequence[str], sha256: Sequence[str], images: np.ndarray, labels: np.ndarray) -> Iterator[tuple]:
    """A row of COLUMNS per image uint8 (N, H, W, C); mean and std over all its values, with 4 decimals."""
    shape = images.shape[1:]
    step = max(1, CHUNK_BYTES // max(1, int(np.prod(shape))))
    for start in range(0, len(images), step):
        part = images[start : start + step]
        flat = part.reshape(len(part), -1)
        size = flat.shape[1]
        # Sums of whole numbers are exact, so that mean and std are the same on every machine.
        total = flat.sum(axis=1, dtype=np.int64)
        squares = np.square(flat, dtype=np.uint16).sum(axis=1, dtype=np.int64)
        mean = total / size
        std = np.sqrt(size * squares - total**2) / size
        values = zip(flat.min(axis=1).tolist(), flat.max(axis=1).tolist(), mean.tolist(), std.tolist(), strict=True)
        for row, (low, high, average, spread) in enumerate(values, start):
            yield ids[row], sha256[row], int(labels[row]), *shape, low, high, f"{average:.4f}", f"{spread:.4f}"


@contextmanager
def open_rows(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """A csv writer for `path` that has already written the header."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        yield writer


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Write a CSV file with a header."""
    with open_rows(path, columns) as writer:
        writer.writerows(rows)


def read_column(path: Path, column: str) -> list[str]:
    """The texts in one column of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [row[column] for row in csv.DictReader(stream)]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, as texts by column."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
