"""Images in NumPy files: images.npy and labels.npy, with names.json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.data.formats.parts import ALL, Part, Published, expect_published, numbered, rows_at_a_time
from convzoo.errors import ConvzooError
from convzoo.files import read_json
from convzoo.settings.data import PrepareSettings

AGAIN = "rebuild it: convzoo repro -f download"


class ArraysError(ConvzooError):
    """Files that are not the expected arrays."""


def read(raw: Path, source: dict[str, Any], settings: PrepareSettings) -> Published:
    """The images uint8 (N, H, W, C) and labels int64 (N,), in one split, with the names of classes and superclasses.

    Raises ArraysError for files that are missing, damaged or do not match each other, and NamesError if
    `classes` is a list of other names.
    """
    try:
        names = read_json(raw / "names.json")
        classes, superclasses, superclass_of = (names[key] for key in ("classes", "superclasses", "superclass_of"))
        images, labels = np.load(raw / "images.npy", mmap_mode="r"), np.load(raw / "labels.npy")
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ArraysError(f"{raw}: cannot be read ({error!r}); {AGAIN}") from None
    if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise ArraysError(
            f"{raw}: images.npy is {images.dtype} {images.shape} and labels.npy {labels.dtype} {labels.shape}, "
            f"expected uint8 (N, H, W, C) and int64 (N,); {AGAIN}"
        )
    if len(superclass_of) != (len(classes) if superclasses else 0):
        raise ArraysError(
            f"{raw}/names.json: expected a superclass for each of {len(classes)} classes, or none; {AGAIN}"
        )
    expect_published(raw, settings, classes)
    return Published(classes, superclasses, superclass_of, (ALL,), _parts(raw / "images.npy", labels), {})


def _parts(file: Path, labels: np.ndarray) -> Iterator[Part]:
    images = np.load(file, mmap_mode="r")
    step = rows_at_a_time(images[0].nbytes) if len(images) else 1
    for start in range(0, len(labels), step):
        stop = min(start + step, len(labels))
        # A new memory map for each part: what was read through a map stays in memory until it is closed.
        images = np.array(np.load(file, mmap_mode="r")[start:stop])
        yield Part(ALL, numbered(ALL, start, stop - start), images, labels[start:stop])
