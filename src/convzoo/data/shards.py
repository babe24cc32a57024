"""Images in shards: tar files of WebDataset, read in blocks, so that a data set may be larger than memory.

A shard holds samples as WebDataset names them, `00000012.images.npy` (uint8) and `00000012.labels.npy` (int64), each
sample a block of neighbouring images. A block is read in one piece, so any block is as near as the next one, which the
streams of WebDataset are not: that is what a shuffled order and a resumed epoch need.
"""

import os
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np

from convzoo.errors import ConvzooError
from convzoo.files import read_json

INDEX = "index.json"
KEYS = ("shape", "block", "window", "stride", "shards")
AGAIN = "rebuild it: convzoo repro -f prepare"
IMAGES, LABELS = "images.npy", "labels.npy"  # of a sample; a tar file has them in this order


class ShardError(ConvzooError):
    """A shard that is missing or damaged."""


class Index(NamedTuple):
    """The content of index.json, which describes the shards of a split."""

    shape: tuple[int, ...]  # (N, H, W, C)
    block: int  # images in each block but the last one
    window: int  # blocks that a training shuffles together
    stride: int  # bytes from one block of a shard to the next
    shards: list[dict[str, Any]]  # file, blocks, bytes, sha256

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The index in `folder`. Raises ShardError for one that is missing or damaged."""
        try:
            values = read_json(folder / INDEX, *KEYS)
            return cls(tuple(values["shape"]), *(values[key] for key in KEYS[1:]))
        except (OSError, ValueError) as error:
            raise ShardError(f"{folder}: cannot be read ({error}), expected a whole {INDEX}; {AGAIN}") from error


class ShardedImages:
    """The images of a split, uint8 (N, H, W, C), read from its shards when they are indexed, as an array is.

    At most `window` blocks stay in memory, and twice as many while images are gathered. Raises ShardError for a shard
    that is missing or has another size, also when it is created.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path) -> None:
        self.folder, self.index = folder, Index.read(folder)
        self.shape, self.block, self.window = self.index.shape, self.index.block, self.index.window
        self.ndim = len(self.shape)
        problems = {shard["file"]: problem for shard in self.index.shards if (problem := problem_of(folder, shard))}
        if problems:
            file, problem = next(iter(problems.items()))
            more = f" (and {len(problems) - 1} more shards)" if len(problems) > 1 else ""
            raise ShardError(f"{folder / file}: {problem}{more}, expected what {INDEX} describes; {AGAIN}")
        self.places = [(shard["file"], number) for shard in self.index.shards for number in range(shard["blocks"])]
        self.kept: OrderedDict[int, np.ndarray] = OrderedDict()  # blocks, the last one used at the end

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The images at `rows`: a number, a slice, or numbers (B,)."""
        if isinstance(rows, slice):
            return self._gathered(np.arange(*rows.indices(len(self))))
        rows = np.asarray(rows)
        return self._gathered(rows) if rows.ndim else self._gathered(rows[None])[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All images, in memory."""
        return self[:].astype(dtype or self.dtype, copy=False)

    def labels(self) -> np.ndarray:
        """The labels, int64 (N,)."""
        parts = [np.empty(0, np.int64)]
        parts += [self._read(number, LABELS) for number in range(len(self.places))]
        return np.concatenate(parts)

    def _gathered(self, rows: np.ndarray) -> np.ndarray:
        numbers, inside = np.divmod(np.where(rows < 0, rows + len(self), rows), self.block)
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        # New blocks last: a batch that begins in one window and ends in the next must not displace blocks of the next.
        for number in sorted(np.unique(numbers).tolist(), key=lambda number: number not in self.kept):
            chosen = numbers == number
            images[chosen] = self._kept(number)[inside[chosen]]
        while len(self.kept) > self.window:
            self.kept.popitem(last=False)
        return images

    def _kept(self, number: int) -> np.ndarray:
        if number not in self.kept:
            self.kept[number] = self._read(number, IMAGES)
            if len(self.kept) > 2 * self.window:
                self.kept.popitem(last=False)
        self.kept.move_to_end(number)
        return self.kept[number]

    def _read(self, number: int, part: str) -> np.ndarray:
        """The images or labels of a block."""
        file, place = self.places[number]
        try:
            with (self.folder / file).open("rb") as stream:
                stream.seek(place * self.index.stride)
                if part == LABELS:  # behind the images
                    size = _member(stream, number, IMAGES).size
                    stream.seek(size + -size % tarfile.BLOCKSIZE, os.SEEK_CUR)
                _member(stream, number, part)
                return np.load(stream, allow_pickle=False)
        except (OSError, ValueError, EOFError, tarfile.TarError) as error:
            raise ShardError(
                f"{self.folder / file}: block {number} cannot be read ({error}), expected {part}; {AGAIN}"
            ) from error


def _member(stream: BinaryIO, number: int, part: str) -> tarfile.TarInfo:
    """The header of a file in a shard; the stream is then at its content."""
    member = tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "strict")
    if member.name != f"{key_of(number)}.{part}":
        raise ValueError(f"holds {member.name}")
    return member


def key_of(number: int) -> str:
    """The name of a block, with which those of its files begin."""
    return f"{number:08d}"


def problem_of(folder: Path, shard: dict[str, Any]) -> str:
    """What is wrong with a shard's file, by its size; empty for nothing."""
    file = folder / shard["file"]
    if not file.is_file():
        return "no such file"
    size = file.stat().st_size
    return "" if size == shard["bytes"] else f"{size} bytes in place of {shard['bytes']}"
