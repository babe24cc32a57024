"""A prepared split as arrays: how it lies on disk, and its digest."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convzoo.errors import ConvzooError

ROWS = 4096  # read at a time, so that memory stays bounded for any number of images


class Split(NamedTuple):
    """Images and labels of one split."""

    images: np.ndarray  # uint8 (N, H, W, C), memory-mapped
    labels: np.ndarray  # int64 (N,)


def load_split(folder: Path) -> Split:
    """The split in `folder` (images.npy, labels.npy), images memory-mapped.

    Raises ConvzooError for a file that is missing or cut short.
    """
    try:
        # "c": whatever is written to it stays in memory, which torch asks of an array.
        return Split(np.load(folder / "images.npy", mmap_mode="c"), np.load(folder / "labels.npy"))
    except (OSError, ValueError, EOFError) as error:
        raise ConvzooError(
            f"{folder}: cannot be read ({error}), expected whole images.npy and labels.npy; make them again: "
            "dvc repro -f prepare augment"
        ) from error


def digest_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """What `digest` hashes of an array before its bytes."""
    return f"{dtype.str}{shape}".encode()


def digest(split: Split) -> str:
    """The sha256 of shapes, types, labels and pixels, as 64 hexadecimal digits."""
    found = hashlib.sha256()
    for array in split:
        found.update(digest_header(array.dtype, array.shape))
        for start in range(0, len(array), ROWS):
            found.update(np.ascontiguousarray(array[start : start + ROWS]).data)
    return found.hexdigest()
