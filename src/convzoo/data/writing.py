"""Writes the images and labels of a split, in order: to two arrays, or to shards by the package webdataset."""

import io
import math
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from convzoo.data.arrays import write_images_header
from convzoo.data.shards import IMAGES, INDEX, KEYS, LABELS, ShardError, key_of
from convzoo.files import sha256_of, write_json
from convzoo.settings.data import PrepareSettings, Shards

BLOCK_BYTES = 1 << 20  # of images in a block, at most (but one image): large enough to read at the speed of the disk


@contextmanager
def image_writer(folder: Path, shape: tuple[int, ...], settings: PrepareSettings) -> Iterator["Writer"]:
    """A writer of images of `shape` (N, H, W, C) and their labels to `folder`. Raises ShardError without webdataset."""
    if settings.storage == "arrays":
        with (folder / "images.npy").open("wb") as stream:
            write_images_header(stream, shape)
            writer = ArrayWriter(stream)
            yield writer
        np.save(folder / "labels.npy", np.concatenate(writer.labels))
        return
    writer = ShardWriter(folder, shape, settings.shards, _webdataset())
    try:
        yield writer
        writer.finish()
    finally:
        writer.stream.close()


def _webdataset() -> ModuleType:
    try:
        import webdataset  # here: only what writes shards needs it
    except ImportError:
        raise ShardError(
            "storage: shards needs the package webdataset, which is not installed; install it: "
            'python -m pip install -c constraints.txt -e ".[stream]"'
        ) from None
    return webdataset


class ArrayWriter:
    """Writes the images and labels of a split, in order, to images.npy and labels.npy."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.labels = [np.empty(0, np.int64)]

    def write(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Add images uint8 (B, H, W, C) and their labels int64 (B,)."""
        self.stream.write(images.data)
        self.labels.append(labels)


class ShardWriter:
    """Writes the images and labels of a split, in order, to shards in a folder."""

    def __init__(self, folder: Path, shape: tuple[int, ...], limits: Shards, webdataset: ModuleType) -> None:
        image = math.prod(shape[1:])
        self.folder, self.shape = folder, shape
        self.block = max(1, BLOCK_BYTES // image)
        self.window = max(1, limits.window // (self.block * image))
        self.images, self.labels = np.empty((self.block, *shape[1:]), np.uint8), np.empty(self.block, np.int64)
        self.filled = self.blocks = 0
        self.shards: list[dict[str, Any]] = []
        most = max(1, limits.bytes // (self.block * image))
        options = {"maxcount": most, "maxsize": math.inf, "opener": self._open, "post": self._close}
        self.writer = webdataset.ShardWriter("%05d.tar", verbose=0, mtime=0, **options)

    def write(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Add images uint8 (B, H, W, C) and their labels int64 (B,)."""
        while len(images):
            taken = slice(self.filled, self.filled + len(images[: self.block - self.filled]))
            count = taken.stop - taken.start
            self.images[taken], self.labels[taken] = images[:count], labels[:count]
            images, labels, self.filled = images[count:], labels[count:], taken.stop
            if self.filled == self.block:
                self._write_block()

    def finish(self) -> None:
        """Write what is left, and index.json."""
        if self.filled:
            self._write_block()
        self.writer.close()
        values = (list(self.shape), self.block, self.window, _stored_bytes(self.images, self.labels), self.shards)
        write_json(self.folder / INDEX, dict(zip(KEYS, values, strict=True)))

    def _write_block(self) -> None:
        sample = {IMAGES: self.images[: self.filled], LABELS: self.labels[: self.filled]}
        self.writer.write({"__key__": key_of(self.blocks), **sample})
        self.shards[-1]["blocks"] += 1
        self.blocks, self.filled = self.blocks + 1, 0

    def _open(self, name: str) -> BinaryIO:
        self.shards.append({"file": name, "blocks": 0})
        self.stream = (self.folder / name).open("wb")
        return self.stream

    def _close(self, name: str) -> None:
        self.stream.close()
        file = self.folder / name
        self.shards[-1] |= {"bytes": file.stat().st_size, "sha256": sha256_of(file)}


Writer = ArrayWriter | ShardWriter


def _stored_bytes(*arrays: np.ndarray) -> int:
    """The bytes of a sample in a shard: of each array a header and a .npy file, filled up to whole blocks of tar."""
    total = 0
    for array in arrays:
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        total += tarfile.BLOCKSIZE + stream.tell() + -stream.tell() % tarfile.BLOCKSIZE
    return total
