"""Tests whether logged images differ from those on which the network was selected."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from convzoo.shipping.reference import CLASS, Reference

LEAST_ROWS = 50  # with fewer, only the largest changes show
LEAST_EXPECTED = 5  # images per class and sample in the chi-squared test; rarer classes are merged


class Comparison(NamedTuple):
    """One measurement in the reference and in the log."""

    name: str
    test: str  # Kolmogorov-Smirnov, or chi-squared for classes
    distance: float  # the largest difference of the distribution functions; of classes: half the sum of differences
    p_value: float
    adjusted: float  # the p-value after Holm's correction for all comparisons
    drifted: bool
    reference: float | None  # the mean; none of classes
    logged: float | None


def compare(
    reference: Reference, logged: Mapping[str, np.ndarray], level: float, least_distance: float = 0.0
) -> list[Comparison]:
    """Compare every measurement of the reference with the `logged` one of that name, (N,) each.

    A measurement has drifted if its adjusted p-value is below `level` and its distance at least `least_distance`. If
    nothing has changed and the images are independent of one another, the probability that any of them drifts is at
    most `level`. Measurements without a logged value are left out.
    """
    names = [name for name, column in reference.columns.items() if len(column) and len(logged.get(name, ()))]
    found = [_compare(name, reference, logged[name]) for name in names]
    adjusted = holm([p_value for _, _, p_value, *_ in found])
    return [
        Comparison(name, test, distance, p, holms, holms < level and distance >= least_distance, *means)
        for name, (test, distance, p, *means), holms in zip(names, found, adjusted, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, corrected for their number: rejecting those below a level errs at most with that probability.

    Holm 1979, https://www.jstor.org/stable/4615733. It allows for any dependence between the tests.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * float(p_values[index])))
        adjusted[index] = largest
    return adjusted


def class_counts(reference: np.ndarray, logged: np.ndarray, classes: int) -> np.ndarray:
    """How often each class was predicted, (2, K), from indices."""
    return np.stack([np.bincount(column, minlength=classes) for column in (reference, logged)])


def _compare(name: str, reference: Reference, logged: np.ndarray) -> tuple[Any, ...]:
    """Test, distance, p-value and both means."""
    known = reference.columns[name]
    if name == CLASS:
        counts = class_counts(known, logged, len(reference.about["classes"]))
        shares = counts / counts.sum(axis=1, keepdims=True)
        return "chi-squared", float(np.abs(shares[0] - shares[1]).sum() / 2), _chi_squared(counts), None, None
    result = ks_2samp(known, logged)
    means = float(known.mean(dtype=np.float64)), float(logged.mean(dtype=np.float64))
    return "Kolmogorov-Smirnov", float(result.statistic), float(result.pvalue), *means


def _chi_squared(counts: np.ndarray) -> float:
    """The p-value of Pearson's test that both samples have the same classes; 1 if there is only one."""
    expected = counts.sum(axis=0) * counts.sum(axis=1, keepdims=True).min() / counts.sum()
    rare = expected < LEAST_EXPECTED
    table = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    return float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0
