"""Assigns images to splits: removes exact duplicates, and draws the splits that a source lacks."""

import hashlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from convzoo.settings.data import PrepareSettings


class Deduplicated(NamedTuple):
    """The rows that are kept and those that are dropped, each in the order of the source."""

    kept: np.ndarray  # int64
    duplicates: np.ndarray  # copies of an earlier image of the same split with the same label
    in_two_splits: np.ndarray  # train images that are also test images
    conflicts: list[list[int]]  # rows that hold the same picture under more than one label


def deduplicate(digests: list[str], labels: np.ndarray, is_test: np.ndarray) -> Deduplicated:
    """Keep every picture once: the first of its copies, or the test image if it is in both splits.

    A picture with more than one label is dropped. Equal `digests` mean equal pictures; `labels` and `is_test` (bool)
    have the same length.
    """
    rows_of: dict[str, list[int]] = {}
    for row, digest in enumerate(digests):
        rows_of.setdefault(digest, []).append(row)
    kept, duplicates, in_two_splits, conflicts = [], [], [], []
    for rows in rows_of.values():
        if len(rows) == 1:
            kept += rows
            continue
        if len({int(labels[row]) for row in rows}) > 1:
            conflicts.append(rows)
            continue
        test = [row for row in rows if is_test[row]]
        train = [row for row in rows if not is_test[row]]
        kept.append((test or train)[0])
        duplicates += test[1:] + train[1:]
        if test:
            in_two_splits += train[:1]
    return Deduplicated(_sorted(kept), _sorted(duplicates), _sorted(in_two_splits), conflicts)


def draw_split(
    split: Literal["test", "val"], labels: np.ndarray, digests: Iterable[bytes], settings: PrepareSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rest and of the images drawn for `split`, both ascending, by the rule in `settings.split`.

    `labels` (N,) and `digests`, the sha256 of the pixels, are those of the images to draw from.
    """
    fraction = settings.test_fraction if split == "test" else settings.val_fraction
    if settings.split == "hashed":
        return hashed_split(labels, digests, fraction, f"{settings.seed} {split} ".encode())
    return stratified_split(labels, fraction, np.random.default_rng([settings.seed, int(split == "val")]))


def hashed_split(
    labels: np.ndarray, digests: Iterable[bytes], fraction: float, salt: bytes
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rest and of about a `fraction`, both ascending; whether an image is drawn depends on it alone.

    It is drawn if the sha256 of `salt` and its digest, as a number in [0, 1), is below `fraction`. So images that are
    added later move no other image. The exception are classes so small that all or none of their images would be
    drawn: the image with the largest number stays, and of two or more, the one with the smallest is drawn.
    """
    hashes = (int.from_bytes(hashlib.sha256(salt + digest).digest()[:8]) for digest in digests)
    numbers = np.fromiter(hashes, np.uint64, len(labels))
    drawn = numbers < np.uint64(fraction * 2.0**64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) > 1:
            drawn[rows[numbers[rows].argmin()]] = True
        drawn[rows[numbers[rows].argmax()]] = False
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)


def stratified_split(
    labels: np.ndarray, fraction: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rest and of a random `fraction` (rounded), both ascending, every class in proportion.

    The last image of a class is never drawn, so less than `fraction` may be drawn from very small classes.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * fraction
    quotas = np.floor(shares).astype(np.int64)
    missing = round(len(labels) * fraction) - int(quotas.sum())
    # The largest remainders are rounded up; among equal ones, that of the first class.
    quotas[np.argsort(quotas - shares, kind="stable")[:missing]] += 1
    quotas = np.minimum(quotas, counts - 1)
    drawn = np.zeros(len(labels), bool)
    for number, quota in zip(classes, quotas, strict=True):
        drawn[generator.permutation(np.flatnonzero(labels == number))[:quota]] = True
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)


def _sorted(rows: list[int]) -> np.ndarray:
    return np.sort(np.asarray(rows, np.int64))
