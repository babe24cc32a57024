"""Assigns images to splits: removes exact duplicates, and draws splits that keep the share of every class."""

from typing import NamedTuple

import numpy as np


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
