"""The idx files of MNIST and its relatives. Format: http://yann.lecun.com/exdb/mnist."""

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from convzoo.errors import ConvzooError

SPLITS = {"train": "train", "test": "t10k"}  # published split, how its file names begin
UINT8 = 8  # type code
LARGEST = 2**31  # bytes of one file, unpacked


class IdxError(ConvzooError):
    """A file is not the idx file that it should be."""


def read(folder: Path) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    """Images uint8 (N, H, W, 1) and labels int64 (N,) of the splits "train" and "test".

    Raises IdxError for a file that is missing, damaged, or does not hold what its header says.
    """
    splits = {}
    for split, prefix in SPLITS.items():
        images_file = _find(folder, f"{prefix}-images-idx3-ubyte")
        labels_file = _find(folder, f"{prefix}-labels-idx1-ubyte")
        images, labels = _array(images_file, dimensions=3), _array(labels_file, dimensions=1)
        if len(images) != len(labels):
            raise IdxError(f"{images_file}: has {len(images)} images, but {labels_file.name} has {len(labels)} labels")
        splits[split] = images[..., None], labels.astype(np.int64)
    return splits


def _find(folder: Path, name: str) -> Path:
    for file in (folder / f"{name}.gz", folder / name):
        if file.is_file():
            return file
    raise IdxError(f"{folder}: there is neither {name}.gz nor {name}; name the source's files so in params.yaml")


def _array(file: Path, dimensions: int) -> np.ndarray:
    with file.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(file) if packed else file.open("rb") as stream:
            header = stream.read(4 + 4 * dimensions)
            expected = bytes([0, 0, UINT8, dimensions])
            if header[:4] != expected:
                raise IdxError(
                    f"{file}: begins with {header[:4].hex() or 'nothing'}, expected {expected.hex()} "
                    f"(idx, uint8, {dimensions} dimensions)"
                )
            if len(header) < 4 + 4 * dimensions:
                raise IdxError(f"{file}: ends within its header")
            shape = np.frombuffer(header, ">u4", offset=4).tolist()
            size = int(np.prod(shape, dtype=object))
            if not 0 < size <= LARGEST:
                raise IdxError(f"{file}: says that its shape is {shape}, expected 1 to {LARGEST} values")
            values = stream.read(size + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise IdxError(f"{file}: is damaged ({error}); make it again: dvc repro -f download") from None
    if len(values) != size:
        found = f"only {len(values)}" if len(values) < size else "more"
        raise IdxError(f"{file}: says that its shape is {shape}, which is {size} values, but holds {found}")
    return np.frombuffer(values, np.uint8).reshape(shape)
