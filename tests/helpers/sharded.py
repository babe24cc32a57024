"""Small data sets in shards, with blocks of a few images."""

from pathlib import Path

import numpy as np

from convzoo.data import writing
from convzoo.data.arrays import Split, load_split
from helpers.raw_sets import settings

BLOCK, PER_SHARD, WINDOW = 7, 3, 2  # images in a block, blocks in a shard, blocks in a window


def write_shards(folder: Path, split: Split, monkeypatch, *, block: int = BLOCK, window: int = WINDOW) -> Path:
    """Write a split to shards in `folder`, which may exist."""
    folder.mkdir(parents=True, exist_ok=True)
    image = int(np.prod(split.images.shape[1:]))
    monkeypatch.setattr(writing, "BLOCK_BYTES", block * image)
    sizes = {"bytes": PER_SHARD * block * image, "window": window * block * image}
    with writing.image_writer(folder, split.images.shape, settings(storage="shards", shards=sizes)) as writer:
        for start in range(0, len(split.labels), 5):
            writer.write(split.images[start : start + 5], split.labels[start : start + 5])
    return folder


def move_to_shards(prepared: Path, monkeypatch, **sizes: int) -> None:
    """Replace what all splits of a prepared set are stored in by shards."""
    for folder in sorted(path for path in prepared.iterdir() if path.is_dir()):
        split = load_split(folder)
        split = Split(np.array(split.images), split.labels)
        for file in (folder / "images.npy", folder / "labels.npy", *folder.glob("*.tar")):
            file.unlink(missing_ok=True)
        write_shards(folder, split, monkeypatch, **sizes)
