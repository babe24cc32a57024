"""Which image goes where: exact doubles out, and cuts that keep the share of every class."""

from typing import NamedTuple

import numpy as np


class Cleaned(NamedTuple):
    """The rows that are kept, and those that are not, each in the order of the source."""

    kept: np.ndarray  # int64
    duplicates: np.ndarray  # copies of an earlier image of the same split with the same label
    in_two_splits: np.ndarray  # train images that are test images too
    conflicts: list[list[int]]  # rows that hold the same picture under more than one label


def clean(digests: list[str], labels: np.ndarray, is_test: np.ndarray) -> Cleaned:
    """Keep every picture once: of copies the first, of a train and a test image the test image, of a conflict none.

    `digests` say which pictures are the same; `labels` and `is_test` (bool) are of the same length.
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
    return Cleaned(_sorted(kept), _sorted(duplicates), _sorted(in_two_splits), conflicts)


def cut(labels: np.ndarray, fraction: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rest and of the drawn `fraction` (rounded), both rising, every class in proportion.

    The last image of a class is never drawn, so the drawn part may be smaller than `fraction` of very small classes.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * fraction
    quotas = np.floor(shares).astype(np.int64)
    missing = round(len(labels) * fraction) - int(quotas.sum())
    # The largest remainders are rounded up; of equal ones the first class's.
    quotas[np.argsort(quotas - shares, kind="stable")[:missing]] += 1
    quotas = np.minimum(quotas, counts - 1)
    drawn = np.zeros(len(labels), bool)
    for number, quota in zip(classes, quotas, strict=True):
        drawn[generator.permutation(np.flatnonzero(labels == number))[:quota]] = True
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)


def _sorted(rows: list[int]) -> np.ndarray:
    return np.sort(np.asarray(rows, np.int64))
