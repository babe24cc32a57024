"""The result of every reader of a format: a published data set, in parts that fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convzoo.errors import ConvzooError
from convzoo.settings.data import PrepareSettings

SPLITS = ("train", "val", "test")
ALL = "all"  # the only split of a source without splits
PUBLISHED = (*SPLITS, ALL)
PART_BYTES = 1 << 22  # of images in memory at a time


class NamesError(ConvzooError):
    """Class names in params.yaml that are not those of the source."""


class Part(NamedTuple):
    """Some images of one split, in the order of the source."""

    split: str  # train, val, test or all
    ids: list[str]
    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int64 (N,)


class Published(NamedTuple):
    """A data set as its source publishes it."""

    classes: list[str]  # names in the order of the labels; empty if the source has none
    superclasses: list[str]  # empty if there are none
    superclass_of: list[int]  # the number of the superclass of each class
    splits: tuple[str, ...]  # train, with or without val and test; or all
    parts: Iterator[Part]  # in a fixed order
    notes: dict[str, int]  # counts of what was dropped; complete once all parts are read


def rows_at_a_time(image_bytes: int) -> int:
    """How many images of `image_bytes` bytes to read at a time, so that they take at most PART_BYTES."""
    return max(1, PART_BYTES // max(1, image_bytes))


def numbered(split: str, start: int, count: int) -> list[str]:
    """Ids for images without names: `train-00012`."""
    return [f"{split}-{row:05d}" for row in range(start, start + count)]


def expect_listed(raw: Path, settings: PrepareSettings) -> None:
    """Raises NamesError if params.yaml asks for the class names of a source that has none."""
    if settings.classes == "source":
        raise NamesError(f"{raw}: has no class names; list them in `classes` in params.yaml")


def expect_published(raw: Path, settings: PrepareSettings, names: list[str]) -> None:
    """Raises NamesError if `classes` is a list that differs from `names`, which are in the order of the labels."""
    if settings.classes not in ("source", [], names):
        raise NamesError(
            f"{raw}: its classes are {', '.join(names) or 'unnamed'}; give `classes` in params.yaml these names in "
            f"this order, or `source`, got {', '.join(settings.classes)}"
        )
