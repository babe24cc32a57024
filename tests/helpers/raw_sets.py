"""Small data sets as the download leaves them, and how to look at what is made of them."""

import io
import json
import tarfile
import zipfile
from itertools import chain

import numpy as np
from PIL import Image

from convzoo.data.manifest import read_rows
from convzoo.settings.data import PrepareSettings

SPLITS = ("train", "val", "test")
LIMITS = {"files": 200, "bytes": 2_000_000, "pixels": 10_000}


def settings(**changes):
    values = {
        "seed": 0,
        "classes": ["a", "b", "c"],
        "height": 28,
        "width": 28,
        "channels": 1,
        "resize": "none",
        "unreadable": "stop",
        "split": "stratified",
        "val_fraction": 0.25,
        "test_fraction": 0.2,
        "label_conflicts": "stop",
        "storage": "arrays",
        "shards": {"bytes": 1 << 26, "window": 1 << 27},
    }
    return PrepareSettings(**values | changes)


def note(folder, **values):
    """source.json in a new folder."""
    folder.mkdir(exist_ok=True)
    (folder / "source.json").write_text(json.dumps({"name": "made"} | values))
    return folder


def tar(path, files, mode="w:gz"):
    """A tar archive of names and contents, in this order."""
    with tarfile.open(path, mode) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def zipped(path, files):
    """A zip archive of names and contents, in this order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def encoded(image, kind="PNG", **options):
    """The bytes of a picture file, from an array or a Pillow image."""
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def noise(count, *shape, seed=0):
    """Images that are all different."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def gathered(published):
    """Ids, images and labels of each split of what a reader gives."""
    splits = {}
    for part in published.parts:
        assert part.split in published.splits
        assert part.images.dtype == np.uint8 and part.labels.dtype == np.int64
        splits.setdefault(part.split, []).append(part[1:])
    joined = {split: list(zip(*parts, strict=True)) for split, parts in splits.items()}
    return {
        split: ([*chain(*ids)], np.concatenate(images), np.concatenate(labels))
        for split, (ids, images, labels) in joined.items()
    }


def prepared(folder):
    """Images, labels and manifest of each prepared split, and meta.json."""
    splits = {
        split: (
            np.load(folder / split / "images.npy"),
            np.load(folder / split / "labels.npy"),
            read_rows(folder / split / "manifest.csv"),
        )
        for split in SPLITS
    }
    return splits, json.loads((folder / "meta.json").read_text())
