"""The kernel Inception distance and the diversity of samples, as functions of arrays of features.

Throughout, `real` (N, D) and `generated` (M, D) are features of the same feature network. NumPy only, no torch.
"""

from typing import NamedTuple

import numpy as np

ROWS = 1000  # of a kernel, in memory at a time


class Subsets(NamedTuple):
    """KID over random subsets, as papers report it: the mean, and the standard deviation of a single subset."""

    mean: float
    spread: float


def kid(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the kernel Inception distance: the squared maximum mean discrepancy under the kernel (x.y / D + 1)^3.

    The unbiased estimate, which can be slightly negative (Binkowski et al. 2018, https://arxiv.org/abs/1801.01401).
    Needs at least two images on each side.
    """
    n, m = len(real), len(generated)
    within_real, within_generated = kernel(real, real), kernel(generated, generated)
    between = kernel(real, generated).mean()
    same_real = (within_real.sum() - np.trace(within_real)) / (n * (n - 1))
    same_generated = (within_generated.sum() - np.trace(within_generated)) / (m * (m - 1))
    return float(same_real + same_generated - 2 * between)


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the kernel (x.y / D + 1)^3 of rows (N, D) and (M, D), as (N, M)."""
    return (a.astype(np.float64) @ b.T.astype(np.float64) / a.shape[1] + 1) ** 3


def kid_over_subsets(real: np.ndarray, generated: np.ndarray, subsets: int, images: int, seed: int) -> Subsets:
    """Compute KID over `subsets` random subsets of `images` images per side.

    If a side has no more images than that, subsets have one fewer than that side, so that they differ.
    """
    rng = np.random.default_rng(seed)
    count = min(images, len(real) - 1, len(generated) - 1)
    values = []
    for _ in range(subsets):
        drawn = (features[rng.permutation(len(features))[:count]] for features in (real, generated))
        values.append(kid(*drawn))
    return Subsets(float(np.mean(values)), float(np.std(values, ddof=1)))


def kid_error(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the standard error of KID between at least three images per side: the jackknife over images of each side.

    Source: Arvesen 1969 (https://doi.org/10.1214/aoms/1177697287).
    """
    sides = (_shifts(real, generated), _shifts(generated, real))
    return float(sum((len(shifts) - 1) * shifts.var() for shifts in sides) ** 0.5)


def _shifts(side: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return how KID shifts, up to a constant, if an image of `side` (N, D) is left out: (N,)."""
    n = len(side)
    shifts = np.empty(n)
    for start in range(0, n, ROWS):
        rows = side[start : start + ROWS]
        within = kernel(rows, side)
        same = (within.sum(axis=1) - within.diagonal(start)) / (n - 1)
        shifts[start : start + ROWS] = 2 * kernel(rows, other).mean(axis=1) / (n - 1) - 2 * same / (n - 2)
    return shifts


def diversity(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the ratio of the variances of generated and real features: near 0 if all samples are alike."""
    return _variance(generated) / _variance(real)


def _variance(features: np.ndarray) -> float:
    """Return the trace of the covariance of `features`: half the mean squared distance between two of them."""
    return float(features.astype(np.float64).var(axis=0, ddof=1).sum())
