"""Distances between generated and real images, as functions of arrays of features.

Throughout, `real` (N, D) and `generated` (M, D) are features of the same feature network. NumPy only, no torch.
"""

from typing import NamedTuple

import numpy as np

from convzoo.metrics.kid import kid_over_subsets

ROWS = 1000  # of a distance matrix, in memory at a time


class Comparison(NamedTuple):
    """Metrics of generated images against real ones."""

    real_images: int
    generated_images: int
    frechet_distance: float
    kid: float
    kid_spread: float
    precision: float
    recall: float


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the Frechet distance between two normal distributions with the means and covariances of the features.

    |m1 - m2|^2 + tr(C1 + C2 - 2 sqrt(C1 C2)) (Heusel et al. 2017, https://arxiv.org/abs/1706.08500). Biased upwards,
    and the more so the fewer images there are per feature: with fewer images than features it is mostly bias.
    """
    gap = real.mean(axis=0, dtype=np.float64) - generated.mean(axis=0, dtype=np.float64)
    first, second = _root(real), _root(generated)
    common = np.linalg.svd(first @ second.T, compute_uv=False).sum()  # the trace of sqrt(C1 C2)
    return max(0.0, float(gap @ gap + (first**2).sum() + (second**2).sum() - 2 * common))


def precision_recall(real: np.ndarray, generated: np.ndarray, neighbours: int) -> tuple[float, float]:
    """Return precision, the share of generated images close to real ones, and recall, the share of real ones covered.

    An image counts if it is nearer to some image of the other side than that image's k-th nearest neighbour
    (Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991). Compares equally many images of each side, the first
    ones; k is `neighbours`, or less if there are too few images.
    """
    count = min(len(real), len(generated))
    middle = real[:count].mean(axis=0)
    real, generated = (side[:count].astype(np.float32) - middle for side in (real, generated))
    k = min(neighbours, count - 1)
    return _share_within(generated, real, k), _share_within(real, generated, k)


def nearest(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the row of `others` (M, D) nearest to each of `images` (N, D), as int64 (N,); uint8 arrays work too."""
    middle = others.mean(axis=0, dtype=np.float64).astype(np.float32)
    best, rows = np.full(len(images), np.inf), np.zeros(len(images), np.int64)
    for start in range(0, len(others), ROWS):
        distances = _distances(images - middle, others[start : start + ROWS] - middle)
        closest = distances.argmin(axis=1)
        smallest = distances[np.arange(len(images)), closest]
        nearer = smallest < best
        best[nearer] = smallest[nearer]
        rows[nearer] = closest[nearer] + start
    return rows


def compare(
    real: np.ndarray, generated: np.ndarray, neighbours: int, subsets: int, subset_images: int, seed: int
) -> Comparison:
    """Compute all metrics of generated images against real ones."""
    over_subsets = kid_over_subsets(real, generated, subsets, subset_images, seed)
    return Comparison(
        len(real),
        len(generated),
        frechet_distance(real, generated),
        over_subsets.mean,
        over_subsets.spread,
        *precision_recall(real, generated, neighbours),
    )


def _root(features: np.ndarray) -> np.ndarray:
    """Return a matrix R with R^T R = the covariance of `features`, with at most as many rows as features or images."""
    centred = (features - features.mean(axis=0, dtype=np.float64)) / (len(features) - 1) ** 0.5
    return np.linalg.qr(centred, mode="r") if len(centred) > centred.shape[1] else centred


def _share_within(images: np.ndarray, others: np.ndarray, k: int) -> float:
    """Return the share of `images` closer to one of `others` than that one's k-th nearest neighbour."""
    radii = np.concatenate(
        [
            np.partition(_distances(others[start : start + ROWS], others), k, axis=1)[
                :, k
            ]  # column 0: each row to itself
            for start in range(0, len(others), ROWS)
        ]
    )
    inside = [
        (_distances(images[start : start + ROWS], others) <= radii).any(axis=1) for start in range(0, len(images), ROWS)
    ]
    return float(np.concatenate(inside).mean())


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distances (N, M) between rows (N, D) and (M, D)."""
    return (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
