"""The kernel Inception distance and the diversity of samples: functions of arrays of features.

Throughout: `real` (N, D) and `generated` (M, D) are features of one feature network. In NumPy, no torch.
"""

from typing import NamedTuple

import numpy as np


class Subsets(NamedTuple):
    """KID over random subsets, as is customary: the mean, and the standard deviation of a single one."""

    mean: float
    spread: float


def kid(real: np.ndarray, generated: np.ndarray) -> float:
    """The kernel Inception distance: the squared maximum mean discrepancy under the kernel (x.y / D + 1)^3.

    The unbiased estimate, which may be a little below zero (Binkowski et al. 2018, https://arxiv.org/abs/1801.01401).
    Needs two images on each side.
    """
    n, m = len(real), len(generated)
    within_real, within_generated = kernel(real, real), kernel(generated, generated)
    between = kernel(real, generated).mean()
    same_real = (within_real.sum() - np.trace(within_real)) / (n * (n - 1))
    same_generated = (within_generated.sum() - np.trace(within_generated)) / (m * (m - 1))
    return float(same_real + same_generated - 2 * between)


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The kernel (x.y / D + 1)^3 of rows (N, D) and (M, D), as (N, M)."""
    return (a.astype(np.float64) @ b.T.astype(np.float64) / a.shape[1] + 1) ** 3


def kid_over_subsets(real: np.ndarray, generated: np.ndarray, subsets: int, images: int, seed: int) -> Subsets:
    """KID of `subsets` random draws of `images` on each side (of fewer images, all but one, so that draws differ)."""
    rng = np.random.default_rng(seed)
    count = min(images, len(real) - 1, len(generated) - 1)
    values = []
    for _ in range(subsets):
        left, right = (side[rng.permutation(len(side))[:count]] for side in (real, generated))
        values.append(kid(left, right))
    return Subsets(float(np.mean(values)), float(np.std(values, ddof=1)))


def diversity(real: np.ndarray, generated: np.ndarray) -> float:
    """The variance of the generated features, as a ratio to that of the real ones: near 0 if all samples are alike."""
    return _variance(generated) / _variance(real)


def _variance(features: np.ndarray) -> float:
    """The trace of the covariance of `features`: half the mean squared distance between two of them."""
    return float(features.astype(np.float64).var(axis=0, ddof=1).sum())
