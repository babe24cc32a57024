"""The idx files of MNIST and its relatives. Format: http://yann.lecun.com/exdb/mnist."""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from convzoo.data.formats.parts import Part, Published, expect_listed, numbered, rows_at_a_time
from convzoo.errors import ConvzooError
from convzoo.settings.data import PrepareSettings

PREFIXES = {"train": "train", "test": "t10k"}  # published split, prefix of its file names
AGAIN = "rebuild it: convzoo repro -f download"
UINT8 = 8  # type code
LARGEST = 2**31  # bytes of one file, unpacked


class IdxError(ConvzooError):
    """A file that is not the expected idx file."""


def read(raw: Path, source: dict[str, Any], settings: PrepareSettings) -> Published:
    """The images (N, H, W, 1) and labels of the splits "train" and "test".

    Raises IdxError, also while the parts are read, for a file that is missing, damaged, or does not hold what its
    header says, and NamesError if `classes` is not a list.
    """
    expect_listed(raw, settings)
    files = {}
    for split, prefix in PREFIXES.items():
        images_file, labels_file = (
            _find_file(raw, f"{prefix}-images-idx3-ubyte"),
            _find_file(raw, f"{prefix}-labels-idx1-ubyte"),
        )
        with _opened(images_file, dimensions=3) as (_, shape):
            images = shape[0]
        with _opened(labels_file, dimensions=1) as (_, shape):
            labels = shape[0]
        if images != labels:
            raise IdxError(
                f"{images_file}: has {images} images, but {labels_file.name} has {labels} labels, expected one each; "
                f"{AGAIN}"
            )
        files[split] = images_file, labels_file
    return Published([], [], [], tuple(files), _parts(files), {})


def _parts(files: dict[str, tuple[Path, Path]]) -> Iterator[Part]:
    for split, (images_file, labels_file) in files.items():
        labels = np.concatenate(list(_arrays(labels_file, dimensions=1))).astype(np.int64)
        start = 0
        for images in _arrays(images_file, dimensions=3):
            stop = start + len(images)
            yield Part(split, numbered(split, start, len(images)), images[..., None], labels[start:stop])
            start = stop


def _find_file(folder: Path, name: str) -> Path:
    for file in (folder / f"{name}.gz", folder / name):
        if file.is_file():
            return file
    raise IdxError(f"{folder}: there is neither {name}.gz nor {name}; name the source's files so in params.yaml")


def _arrays(file: Path, dimensions: int) -> Iterator[np.ndarray]:
    """The values of a file, in parts."""
    with _opened(file, dimensions) as (stream, shape):
        size, row_size, count = math.prod(shape), math.prod(shape[1:]), 0
        while count < size:
            values = stream.read(min(size - count, rows_at_a_time(row_size) * row_size))
            count += len(values)
            if len(values) % row_size or not values:
                break
            yield np.frombuffer(values, np.uint8).reshape(-1, *shape[1:])
        if count < size or stream.read(1):
            holds = f"only {count}" if count < size else "more"
            raise IdxError(
                f"{file}: says that its shape is {shape}, which is {size} values, but holds {holds}; {AGAIN}"
            )


@contextmanager
def _opened(file: Path, dimensions: int) -> Iterator[tuple[BinaryIO, list[int]]]:
    """A stream positioned after the file's header, and the shape in this header."""
    with file.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(file) if packed else file.open("rb") as stream:
            header = stream.read(4 + 4 * dimensions)
            expected = bytes([0, 0, UINT8, dimensions])
            if header[:4] != expected:
                raise IdxError(
                    f"{file}: begins with {header[:4].hex() or 'nothing'}, expected {expected.hex()} "
                    f"(idx, uint8, {dimensions} dimensions); {AGAIN}"
                )
            if len(header) < 4 + 4 * dimensions:
                raise IdxError(f"{file}: ends within its header, expected {4 + 4 * dimensions} bytes of it; {AGAIN}")
            shape = np.frombuffer(header, ">u4", offset=4).tolist()
            if not 0 < math.prod(shape) <= LARGEST:
                raise IdxError(f"{file}: says that its shape is {shape}, expected 1 to {LARGEST} values; {AGAIN}")
            yield stream, shape
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise IdxError(f"{file}: is damaged ({error}), expected a whole gzip file; {AGAIN}") from None
