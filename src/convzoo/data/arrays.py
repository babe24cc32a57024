"""A prepared split on disk, in arrays or shards, and its digest; single arrays of images."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np

from convzoo.data.shards import INDEX, ShardedImages
from convzoo.errors import ConvzooError
from convzoo.files import new_file

ROWS = 4096  # read at a time, so that memory stays bounded for any number of images


class Split(NamedTuple):
    """Images and labels of one split."""

    images: np.ndarray | ShardedImages  # uint8 (N, H, W, C), memory-mapped or read from shards
    labels: np.ndarray  # int64 (N,)


def load_split(folder: Path) -> Split:
    """The split in `folder`: images.npy, memory-mapped, and labels.npy, or shards.

    Raises ConvzooError for a file that is missing or cut short.
    """
    try:
        # "c" (copy on write): torch requires a writable array, and the file must not change.
        images = open_images(folder, "c")
        return Split(images, images.labels() if isinstance(images, ShardedImages) else np.load(folder / "labels.npy"))
    except (OSError, ValueError, EOFError) as error:
        raise ConvzooError(
            f"{folder}: cannot be read ({error}), expected whole images.npy and labels.npy; rebuild them: "
            "convzoo repro -f prepare augment"
        ) from error


def has_images(folder: Path) -> bool:
    """Whether `folder` has the images of a split."""
    return any((folder / name).is_file() for name in ("images.npy", INDEX))


def open_images(folder: Path, mode: Literal["r", "c"] = "r") -> np.ndarray | ShardedImages:
    """The images of the split in `folder`, memory-mapped in this mode or read from shards."""
    if (folder / INDEX).is_file():
        return ShardedImages(folder)
    return np.load(folder / "images.npy", mmap_mode=mode)


def images_in_parts(folder: Path, rows: int) -> Iterator[np.ndarray]:
    """The images of the split in `folder`, `rows` at a time, in order."""
    images = open_images(folder)
    for start in range(0, len(images), rows):
        yield images[start : start + rows]
        if isinstance(images, np.memmap):  # what was read through an earlier map no longer counts as memory
            images = open_images(folder)


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` row numbers, int64, evenly spaced: a split may be sorted by class."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def write_images_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    """Begin a .npy file of uint8 images (N, H, W, C); write their bytes after it, in any number of parts."""
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})


def save_array(path: Path, array: np.ndarray) -> None:
    """Write one array as .npy, without pickles."""
    with new_file(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def load_array(path: Path, network: str) -> np.ndarray:
    """An array that the stage `train` of `network` wrote. Raises ConvzooError if it is missing or cut short."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConvzooError(
            f"{path}: cannot be read ({error}), expected an array of images; train the network again: "
            f"convzoo repro -f train@{network}"
        ) from error


def digest_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The bytes that `digest` hashes before those of the array itself."""
    return f"{dtype.str}{shape}".encode()


def digest(split: Split) -> str:
    """The sha256 of shapes, types, labels and pixels, as 64 hexadecimal digits."""
    sha256 = hashlib.sha256()
    for array in split:
        sha256.update(digest_header(array.dtype, array.shape))
        for start in range(0, len(array), ROWS):
            sha256.update(np.ascontiguousarray(array[start : start + ROWS]).data)
    return sha256.hexdigest()
