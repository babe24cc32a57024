"""Metrics of class probabilities, as functions of arrays.

Throughout, `probabilities` is (N, K) with rows that sum to 1; `labels` and `predictions` are (N,), integers below K.
Written in NumPy because scikit-learn and SciPy take longer to import than the metrics take to compute; the tests
compare the results with both.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

# The smallest normal float32: a probability that a file rounded to zero costs 87 nats, not infinitely many.
SMALLEST = float(np.finfo(np.float32).tiny)
# Digits after the point by which classes and images are ranked, so that no last bit decides. On ties the lower class
# wins, and the earlier image. Of probabilities this far apart, both orders are as good.
RANKED_DIGITS = 5


class ClassScores(NamedTuple):
    """Scores of one class against the rest, from 0 to 1; a score with a zero denominator is 0."""

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
    accuracy: float | None  # share of correct predictions; None without images


class McNemarTest(NamedTuple):
    """Two classifiers on the same images: the number of images that both, only one or neither classified correctly."""

    both: int
    first_only: int
    second_only: int
    neither: int
    p_value: float  # exact, two-sided (McNemar 1947)


def check_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Raise ValueError unless each image has probabilities that sum to 1 and a label below K."""
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


def ranked(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities as they are ranked: rounded to RANKED_DIGITS."""
    return np.round(probabilities, RANKED_DIGITS)


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """Return the most probable class of each image, int64 (N,); the lower class wins ties."""
    return ranked(probabilities).argmax(axis=1)


def wilson_interval(correct: int, images: int, confidence: float) -> tuple[float, float]:
    """Return the interval that contains the true accuracy with the given confidence, without continuity correction.

    Source: Wilson 1927.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / images
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z * (share * (1 - share) / images + z**2 / (4 * images**2)) ** 0.5 / (1 + z**2 / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def top_k_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return the share of images whose class is among the `k` most probable; the lower class wins ties."""
    best = np.argsort(-ranked(probabilities), axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative logarithm of the true class's probability, in nats."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return abs(float(np.log(np.maximum(true, SMALLEST)).mean()))  # abs: 0.0 instead of -0.0 for perfect predictions


def calibration_bins(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> list[Bin]:
    """Sort the images by top probability into `bins` of equal width (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""
    top = probabilities.max(axis=1).astype(np.float64)
    correct = most_probable(probabilities) == labels
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.digitize(top, edges[1:-1], right=True)
    filled = []
    for index in range(bins):
        inside = bin_of == index
        images = int(inside.sum())
        confidence, accuracy = (float(top[inside].mean()), float(correct[inside].mean())) if images else (None, None)
        filled.append(Bin(float(edges[index]), float(edges[index + 1]), images, confidence, accuracy))
    return filled


def calibration_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: the gap between confidence and accuracy, averaged over images.

    Source: Guo et al. 2017.
    """
    images = sum(row.images for row in bins)
    return sum(row.images / images * abs(row.confidence - row.accuracy) for row in bins if row.images)


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Count the images by true class (row) and predicted class (column), as integers (K, K)."""
    return np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def class_scores(labels: np.ndarray, predictions: np.ndarray, classes: int) -> list[ClassScores]:
    """Return precision, recall and F1 of each class, in the order of the classes."""
    matrix = confusion(labels, predictions, classes)
    correct, predicted, actual = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    precision, recall = correct / np.maximum(predicted, 1), correct / np.maximum(actual, 1)
    f1 = 2 * correct / np.maximum(predicted + actual, 1)
    columns = (precision.tolist(), recall.tolist(), f1.tolist(), actual.tolist())
    return [ClassScores(*row) for row in zip(*columns, strict=True)]


def worst_mistakes(probabilities: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Return the rows of at most `count` wrong predictions, the most confident first, ties in row order."""
    predictions = most_probable(probabilities)
    wrong = np.flatnonzero(predictions != labels)
    return wrong[np.argsort(-ranked(probabilities)[wrong, predictions[wrong]], kind="stable")][:count]


def superclass_probabilities(probabilities: np.ndarray, superclass_of: np.ndarray) -> np.ndarray:
    """Sum the probabilities of each superclass's classes: (N, S).

    `superclass_of` (K,) maps classes to superclasses below S.
    The superclass with the largest sum is not always that of the most probable class.
    """
    sums = np.zeros((int(superclass_of.max()) + 1, len(probabilities)))
    np.add.at(sums, superclass_of, probabilities.T)
    return sums.T


def mcnemar_test(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> McNemarTest:
    """Compare the predictions (N,) of two classifiers on the same images."""
    first_correct, second_correct = first == labels, second == labels
    only_one = int((first_correct & ~second_correct).sum()), int((~first_correct & second_correct).sum())
    discordant, fewer = sum(only_one), min(only_one)
    tail = sum(math.comb(discordant, count) for count in range(fewer + 1)) / 2**discordant
    both, neither = int((first_correct & second_correct).sum()), int((~first_correct & ~second_correct).sum())
    return McNemarTest(both, *only_one, neither, min(1.0, 2 * tail))


def average_views(probabilities: list[np.ndarray]) -> np.ndarray:
    """Return the probabilities (N, K) of a network that averages its logits over views, given those of each view."""
    logits = np.mean([np.log(np.maximum(view, SMALLEST, dtype=np.float64)) for view in probabilities], axis=0)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
