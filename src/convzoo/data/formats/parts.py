"""What every reader of a format gives: a published data set, in parts that fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convzoo.errors import ConvzooError
from convzoo.settings.data import PrepareSettings

SPLITS = ("train", "val", "test")
ALL = "all"  # the split of a source that has none
PUBLISHED = (*SPLITS, ALL)
PART_BYTES = 1 << 22  # of images that are in memory at a time


class NamesError(ConvzooError):
    """The class names in params.yaml are not those of the source."""


class Part(NamedTuple):
    """Some images of one split, in the order of the source."""

    split: str  # train, val, test or all
    ids: list[str]
    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int64 (N,)


class Published(NamedTuple):
    """A data set as its source has it."""

    classes: list[str]  # names in the order of the labels; empty where the source knows none
    superclasses: list[str]  # empty where there are none
    superclass_of: list[int]  # for each class the number of its superclass
    splits: tuple[str, ...]  # train, with or without val and test; or all
    parts: Iterator[Part]  # in a fixed order
    notes: dict[str, int]  # counts of what was left out; complete once all parts are read


def rows_at_a_time(image_bytes: int) -> int:
    """How many images are in memory at a time, for images of so many bytes."""
    return max(1, PART_BYTES // max(1, image_bytes))


def numbered(split: str, start: int, count: int) -> list[str]:
    """Ids of images that have no names: `train-00012`."""
    return [f"{split}-{row:05d}" for row in range(start, start + count)]


def expect_listed(where: Path, settings: PrepareSettings) -> None:
    """Raise NamesError where params.yaml asks for the names of a source that knows none."""
    if settings.classes == "source":
        raise NamesError(f"{where}: has no class names of its own; list them in `classes` in params.yaml")


def expect_published(where: Path, settings: PrepareSettings, names: list[str]) -> None:
    """Raise NamesError where `classes` is a list that differs from `names`, whose order the labels follow."""
    if settings.classes not in ("source", [], names):
        raise NamesError(
            f"{where}: its classes are {', '.join(names) or 'unnamed'}; give `classes` in params.yaml these names in "
            f"this order, or `source`, got {', '.join(settings.classes)}"
        )
