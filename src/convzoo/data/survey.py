"""Looks through a folder of images before it becomes a data set: its classes, unreadable files and future splits."""

import hashlib
import os
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from convzoo.data.formats.decoding import PictureFormat, SizeError, UnreadableError, decode
from convzoo.data.formats.layout import compiled
from convzoo.data.sources.packing import find_pictures, summary
from convzoo.data.splits import deduplicate, draw_split
from convzoo.errors import ConvzooError
from convzoo.settings.data import PrepareSettings
from convzoo.settings.sources import FolderSource, Limits
from convzoo.text import first_names

THREADS = min(4, os.cpu_count() or 1)
UNLIMITED = Limits(files=sys.maxsize, bytes=sys.maxsize, pixels=1)


class SurveyError(ConvzooError):
    """A folder that cannot become a data set as it is."""


class Survey(NamedTuple):
    """What the pipeline will find in a folder."""

    classes: dict[str, int]  # images of each class that will be used
    splits: dict[str, int]  # images in train, val and test
    rarest: float  # the rarest class of any split, relative to an even distribution
    files: int
    bytes: int
    notes: list[str]  # what will be left out


def survey(source: FolderSource, settings: PrepareSettings) -> Survey:
    """Read every image in the folder of a source as the stage `prepare` will.

    Raises SurveyError for a folder without a folder per class, for images that cannot be read if `settings.unreadable`
    is "stop", for the same image in two classes, and for classes without an image in each split; PackingError.
    """
    folder = Path(source.path)
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise SurveyError(f"{folder}: {problem}, expected a folder that has a folder of images for each class")
    files, others, empty = find_pictures(folder, UNLIMITED)
    labels = {name: match["class"] for name in sorted(files) if (match := compiled(source.layout).fullmatch(name))}
    outside = sorted(files.keys() - labels.keys())
    classes = sorted(set(labels.values()))
    _check_classes(folder, classes, [*outside, *(f"{name}/" for name in sorted(empty))])

    names, digests, unreadable = _read(labels, files, settings, source.limits)
    if unreadable and settings.unreadable == "stop":
        raise SurveyError(
            f"{folder}: {len(unreadable)} of {len(labels)} images cannot be read: {first_names(unreadable)}; replace "
            "or remove them, or leave them out with --drop-unreadable"
        )
    numbers = np.array([classes.index(labels[name]) for name in names], np.int64)
    kept, duplicates, _, conflicts = deduplicate(digests, numbers, np.zeros(len(names), bool))
    if conflicts:
        copies = "; ".join(" and ".join(names[row] for row in rows) for rows in conflicts[:3])
        raise SurveyError(
            f"{folder}: {len(conflicts)} images are in more than one class: {copies}; keep each in one class"
        )
    counts = dict(_splits(numbers[kept], len(classes), [bytes.fromhex(digests[row]) for row in kept], settings))
    _check_counts(folder, classes, counts)
    total = sum(counts.values())
    return Survey(
        classes={name: int(count) for name, count in zip(classes, total, strict=True)},
        splits={split: int(count.sum()) for split, count in counts.items()},
        rarest=float(min(count.min() / count.mean() for count in counts.values())),
        files=len(files),
        bytes=sum(file.stat().st_size for file in files.values()),
        notes=[
            f"left out {text}"
            for text, applies in (
                (f"{len(unreadable)} images that cannot be read: {first_names(unreadable)}", unreadable),
                (f"{len(duplicates)} copies: {first_names([names[row] for row in duplicates])}", len(duplicates)),
                (f"{len(outside)} images that are not directly in a class folder: {first_names(outside)}", outside),
                (summary(others) if others else "", others),
            )
            if applies
        ],
    )


def _check_classes(folder: Path, classes: list[str], outside: list[str]) -> None:
    """Raise SurveyError for fewer than two classes, and for a folder without images that looks like a class.

    A nested copy of the whole folder is no class, as in the stage `prepare`.
    """
    if not classes:
        raise SurveyError(
            f"{folder}: has no images in folders, expected one folder per class, as in {folder}/cats/1.jpg; move the "
            "images into such folders, or name another folder"
        )
    if len(classes) == 1:
        raise SurveyError(
            f"{folder}: has a single class ({classes[0]}), expected two or more; is the folder one level too high or "
            "too low?"
        )
    paths = [name.split("/") for name in outside if "/" in name]
    vanished = sorted({first for first, second, *_ in paths if first not in classes and second not in classes})
    if vanished:
        raise SurveyError(
            f"{folder}: no image is directly in {first_names(vanished)}, expected one at least in each class folder; "
            "add images, or move these folders away"
        )


def _read(
    labels: Collection[str], files: dict[str, Path], settings: PrepareSettings, limits: Limits
) -> tuple[list[str], list[str], list[str]]:
    """The names of the readable images and the digests of their pixels; the names of the others with their problems."""
    shape = (settings.height, settings.width, settings.channels)
    target = PictureFormat(*shape, settings.resize, limits.pixels, "make it smaller, or take it out")

    def digest(name: str) -> str | UnreadableError:
        try:
            return hashlib.sha256(decode(files[name].read_bytes(), target)).hexdigest()
        except UnreadableError as error:
            return error
        except SizeError as error:
            raise SurveyError(f"{files[name]}: {error}") from None

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(tqdm(pool.map(digest, labels), "reading", len(labels), unit=" images", disable=None))
    names, digests, unreadable = [], [], []
    for name, result in zip(labels, results, strict=True):
        if isinstance(result, str):
            names.append(name)
            digests.append(result)
        else:
            unreadable.append(f"{name} ({result})")
    return names, digests, unreadable


def _splits(
    labels: np.ndarray, classes: int, digests: list[bytes], settings: PrepareSettings
) -> Iterator[tuple[str, np.ndarray]]:
    """The number of images of each class in each split."""
    rest, test = draw_split("test", labels, digests, settings)
    train, val = draw_split("val", labels[rest], [digests[row] for row in rest], settings)
    for split, rows in {"train": labels[rest][train], "val": labels[rest][val], "test": labels[test]}.items():
        yield split, np.bincount(rows, minlength=classes)


def _check_counts(folder: Path, classes: list[str], counts: dict[str, np.ndarray]) -> None:
    total = sum(counts.values())
    for split, images in counts.items():
        missing = [f"{classes[label]} ({total[label]})" for label in np.flatnonzero(images == 0)]
        if missing:
            raise SurveyError(
                f"{folder}: too few images of {first_names(missing)}: none would be left for {split}, expected one at "
                "least of every class in each of train, val and test; add images of them"
            )
