"""CIFAR's binary archives. Format: https://www.cs.toronto.edu/~kriz/cifar.html."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from convzoo.data.formats.members import Limits, Listing, archives_in, contents, listings
from convzoo.data.formats.parts import Part, Published, expect_published, rows_at_a_time
from convzoo.errors import ConvzooError
from convzoo.settings.data import PrepareSettings

SIDE, CHANNELS = 32, 3
VALUES = (
    CHANNELS * SIDE * SIDE
)  # bytes of an image: all of its red, then all of its green, then all of its blue, row by row
LONGEST = 1 << 16  # bytes of a file of names, far more than a hundred names need
ADVICE = "use the published binary archive"

Place = tuple[Listing, list[int]]  # of a file: its archive, and its row in the listing


class CifarError(ConvzooError):
    """An archive that differs from the published one."""


class Layout(NamedTuple):
    """The published files. A record has a label byte for each file of names, in their order, and then the image."""

    names: dict[str, int]  # files of names, and how many names each has; the classes are last
    records: dict[str, tuple[str, ...]]  # files of records for each split

    def files(self) -> list[str]:
        return [*self.names, *chain(*self.records.values())]


CIFAR_10 = Layout(
    {"cifar-10-batches-bin/batches.meta.txt": 10},
    {
        "train": tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
        "test": ("cifar-10-batches-bin/test_batch.bin",),
    },
)
CIFAR_100 = Layout(
    {"cifar-100-binary/coarse_label_names.txt": 20, "cifar-100-binary/fine_label_names.txt": 100},
    {"train": ("cifar-100-binary/train.bin",), "test": ("cifar-100-binary/test.bin",)},
)


def read(raw: Path, source: dict[str, Any], settings: PrepareSettings) -> Published:
    """The images (N, 32, 32, 3) and labels of the splits "train" and "test", with the names of (fine) classes and
    superclasses. An id names the file and the record in it, counted from 0: `data_batch_1/00017`.

    Raises CifarError, also while the parts are read, for an archive that differs from the published layout;
    ArchiveError; and NamesError if `classes` is a list of other names.
    """
    layout, places = _locate(raw, Limits(**source["limits"]))
    names = [_names(places[file], count) for file, count in layout.names.items()]
    classes, superclasses = names[-1], names[0] if len(names) > 1 else []
    expect_published(raw, settings, classes)
    superclass_of = _superclass_of(raw, layout, places, classes, superclasses) if superclasses else []
    return Published(classes, superclasses, superclass_of, tuple(layout.records), _parts(layout, places), {})


def _locate(raw: Path, limits: Limits) -> tuple[Layout, dict[str, Place]]:
    """The layout that matches the archives in `raw` best, and the place of each file."""
    places = [
        (name, (listing, [row]))
        for listing in listings(archives_in(raw), limits)
        for row, name in enumerate(listing.names)
    ]
    names = [name for name, _ in places]
    layout = max((CIFAR_10, CIFAR_100), key=lambda layout: len(set(names).intersection(layout.files())))
    for file in layout.files():
        if names.count(file) != 1:
            raise CifarError(f"{raw}: its archive holds {file} {names.count(file)} times, expected once; {ADVICE}")
    return layout, dict(places)


def _names(place: Place, count: int) -> list[str]:
    """The names in a text file, one per line; blank lines at its end are ignored."""
    for content in contents(*place):
        where = f"{content.file}: {content.name}"
        if content.left > LONGEST:
            raise CifarError(f"{where}: has {content.left} bytes, expected {count} names; {ADVICE}")
        try:
            names = [line.strip() for line in content.read().decode().rstrip().splitlines()]
        except UnicodeDecodeError as error:
            raise CifarError(f"{where}: is not UTF-8 text ({error}), expected {count} names; {ADVICE}") from None
        for number, name in enumerate(names, 1):
            if not name or not name.isprintable():
                raise CifarError(f"{where}: line {number} is {name!r:.80}, expected a name on each line; {ADVICE}")
        if len(names) != count or len(set(names)) != count:
            raise CifarError(
                f"{where}: has {len(names)} names, {len(set(names))} of them different, expected {count} different "
                f"ones; {ADVICE}"
            )
    return names


def _records(place: Place, layout: Layout) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Some records at a time: the number of the first one, labels uint8 (N, L), and pixels uint8 (N, VALUES)."""
    counts = list(layout.names.values())
    length = len(counts) + VALUES
    for content in contents(*place):
        where, start = f"{content.file}: {content.name}", 0
        if not content.left or content.left % length:
            raise CifarError(f"{where}: has {content.left} bytes, expected records of {length} bytes each; {ADVICE}")
        while content.left:
            records = np.frombuffer(content.read(rows_at_a_time(length) * length), np.uint8).reshape(-1, length)
            labels, pixels = np.split(records, [len(counts)], axis=1)
            wrong = np.argwhere(labels >= counts)
            if len(wrong):
                row, column = wrong[0]
                raise CifarError(
                    f"{where}: record {start + row} has the label {labels[row, column]} in byte {column}, "
                    f"expected 0 to {counts[column] - 1}; {ADVICE}"
                )
            yield start, labels, pixels
            start += len(records)


def _superclass_of(
    raw: Path, layout: Layout, places: dict[str, Place], classes: list[str], superclasses: list[str]
) -> list[int]:
    """The number of the superclass of each class, from the labels of all images."""
    parents: list[set[int]] = [set() for _ in classes]
    for file in chain(*layout.records.values()):
        for _, labels, _ in _records(places[file], layout):
            for parent, label in np.unique(labels, axis=0).tolist():
                parents[label].add(parent)
    for name, numbers in zip(classes, parents, strict=True):
        if len(numbers) != 1:
            within = ", ".join(superclasses[parent] for parent in sorted(numbers)) or "none"
            raise CifarError(
                f"{raw}: images of the class {name} are in the superclasses {within}, expected one; {ADVICE}"
            )
    return [numbers.pop() for numbers in parents]


def _parts(layout: Layout, places: dict[str, Place]) -> Iterator[Part]:
    for split, files in layout.records.items():
        for file in files:
            for start, labels, pixels in _records(places[file], layout):
                images = np.ascontiguousarray(pixels.reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1))
                ids = [f"{PurePosixPath(file).stem}/{row:05d}" for row in range(start, start + len(images))]
                yield Part(split, ids, images, labels[:, -1].astype(np.int64))
