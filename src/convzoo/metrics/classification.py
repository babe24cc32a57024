"""How good class probabilities are: functions of arrays.

Throughout: `probabilities` is (N, K), rows that sum to 1; `labels` and `answers` are (N,), whole numbers below K.
A few lines of NumPy rather than scikit-learn and SciPy, whose import takes longer than the measuring; the tests compare
them with both.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

# The smallest normal float32: a probability that a file rounded to zero costs 87 nats, not infinitely many.
SMALLEST = float(np.finfo(np.float32).tiny)


class ClassScores(NamedTuple):
    """One class against the rest, each score from 0 to 1; a score without any case is 0."""

    precision: float
    recall: float
    f1: float
    images: int  # of this class


class Bin(NamedTuple):
    """The images whose top probability is above `low` and at most `high`."""

    low: float
    high: float
    images: int
    confidence: float | None  # mean top probability; None without images
    accuracy: float | None  # share of right answers; None without images


class Pairs(NamedTuple):
    """Two classifiers on the same images: how many images both, one alone or neither got right."""

    both: int
    first_only: int
    second_only: int
    neither: int
    p_value: float  # McNemar's exact test, two-sided (McNemar 1947)


def check_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Raises ValueError unless each image has probabilities that sum to 1 and a label that exists."""
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(f"expected (N, K) probabilities and (N,) labels, got {probabilities.shape} and {labels.shape}")
    sums = probabilities.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(~(np.isclose(sums, 1, atol=1e-3) & (probabilities >= 0).all(axis=1)))
    if len(wrong):
        row = wrong[0]
        raise ValueError(
            f"{len(wrong)} of {len(labels)} rows are not probabilities, first row {row}: sum {sums[row]:.6g}, "
            f"smallest {probabilities[row].min():.6g}; expected a softmax's output"
        )
    classes = probabilities.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"expected labels from 0 to {classes - 1}, got {labels.min()} to {labels.max()}")


def wilson_interval(correct: int, images: int, confidence: float) -> tuple[float, float]:
    """The interval that holds the true accuracy with the given confidence (Wilson 1927, no continuity correction)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / images
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z * (share * (1 - share) / images + z**2 / (4 * images**2)) ** 0.5 / (1 + z**2 / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def top_k_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The share of images whose class is among the `k` most probable; of equal ones the first goes first."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The mean negative logarithm of the right class's probability, in nats."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return abs(float(np.log(np.maximum(right, SMALLEST)).mean()))  # 0.0 where all is sure and right, and not -0.0


def calibration_bins(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> list[Bin]:
    """The images sorted by top probability into `bins` of equal width (Guo et al. 2017, arXiv:1706.04599)."""
    top = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.digitize(top, edges[1:-1], right=True)
    table = []
    for index in range(bins):
        here = place == index
        images = int(here.sum())
        confidence, accuracy = (float(top[here].mean()), float(right[here].mean())) if images else (None, None)
        table.append(Bin(float(edges[index]), float(edges[index + 1]), images, confidence, accuracy))
    return table


def calibration_error(table: list[Bin]) -> float:
    """The expected calibration error: the distance of confidence and accuracy, averaged over images (Guo et al.)."""
    images = sum(row.images for row in table)
    return sum(row.images / images * abs(row.confidence - row.accuracy) for row in table if row.images)


def confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Images by class (row) and answer (column), as whole numbers (K, K)."""
    return np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)


def class_scores(labels: np.ndarray, answers: np.ndarray, classes: int) -> list[ClassScores]:
    """Precision, recall and F1 of each class, in the order of the classes."""
    matrix = confusion(labels, answers, classes)
    right, answered, actual = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    precision, recall = right / np.maximum(answered, 1), right / np.maximum(actual, 1)
    f1 = 2 * right / np.maximum(answered + actual, 1)
    columns = (precision.tolist(), recall.tolist(), f1.tolist(), actual.tolist())
    return [ClassScores(*row) for row in zip(*columns, strict=True)]


def worst_mistakes(probabilities: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """The rows of at most `most` wrong answers, the most probable first; of equal ones the earlier row first."""
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    return wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")][:most]


def superclass_probabilities(probabilities: np.ndarray, superclass_of: np.ndarray) -> np.ndarray:
    """The probability of each superclass (N, S): the sum over its classes. `superclass_of` (K,) is below S.

    The superclass with the largest sum need not be that of the most probable class.
    """
    sums = np.zeros((int(superclass_of.max()) + 1, len(probabilities)))
    np.add.at(sums, superclass_of, probabilities.T)
    return sums.T


def pairs(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Pairs:
    """Compare the answers (N,) of two classifiers, image by image."""
    first_right, second_right = first == labels, second == labels
    alone = int((first_right & ~second_right).sum()), int((~first_right & second_right).sum())
    uneven, few = sum(alone), min(alone)
    tail = sum(math.comb(uneven, count) for count in range(few + 1)) / 2**uneven
    both, neither = int((first_right & second_right).sum()), int((~first_right & ~second_right).sum())
    return Pairs(both, *alone, neither, min(1.0, 2 * tail))


def average_views(probabilities: list[np.ndarray]) -> np.ndarray:
    """The probabilities (N, K) of a network whose logits are averaged over views, from its probabilities per view."""
    logits = np.mean([np.log(np.maximum(view, SMALLEST, dtype=np.float64)) for view in probabilities], axis=0)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
