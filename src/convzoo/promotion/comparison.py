"""Differences between two models on the same images, each with a confidence interval, computed from arrays.

Each end of an interval is a one-sided bound: the true difference lies above `low` with the given confidence, and below
`high` with the same.
"""

from typing import NamedTuple

import numpy as np

from convzoo.metrics.images import psnr

# scipy is imported inside the functions, since the import is slow.


class Difference(NamedTuple):
    """How much better the candidate is, in the unit of the main metric; above 0: better."""

    estimate: float
    low: float
    high: float


class KidSamples(NamedTuple):
    """The KIDs of repeated samples of a generator against the same real images."""

    kids: np.ndarray  # (R,): of each sample
    affinities: np.ndarray  # (N,): the kernel's mean over all samples, per real image


def accuracy_difference(candidate: np.ndarray, champion: np.ndarray, confidence: float) -> Difference:
    """The difference of two accuracies, from booleans (N,): which images each model classifies correctly.

    The score interval for paired proportions of Tango 1998 (Statistics in Medicine 17:891-908), which inverts McNemar's
    test (1947): it excludes 0 if that test, without a continuity correction, is significant.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    images = len(candidate)
    gained, lost = int((candidate & ~champion).sum()), int((~candidate & champion).sum())
    estimate = (gained - lost) / images
    z = norm.ppf(confidence)

    def score(difference: float) -> float:
        """How many standard errors the counts lie above a true `difference`."""
        b = (2 * images - gained + lost) * difference - gained - lost
        root = max(0.0, b * b + 8 * images * lost * difference * (1 - difference)) ** 0.5  # rounding may go below 0
        share = (root - b) / (4 * images)
        variance = images * (2 * share + difference * (1 - difference))
        gap = gained - lost - images * difference
        return gap / np.sqrt(variance) if variance > 0 else np.copysign(np.inf, gap) if gap else 0.0

    def end(sign: int) -> float:
        """The difference, from the estimate towards -1 or 1, with the score `sign` z; -1 or 1 if there is none."""
        limit = -sign * (1 - 1e-12)
        if sign * score(limit) <= z:
            return float(limit)
        near = estimate - sign * 1e-12
        return float(brentq(lambda difference: sign * score(difference) - z, near, limit, xtol=1e-10))

    return Difference(estimate, end(1), end(-1))


def psnr_difference(
    candidate: np.ndarray, champion: np.ndarray, confidence: float, resamples: int, seed: int
) -> Difference:
    """The difference of two PSNRs (dB), from the mean squared error of each image (N,).

    Each PSNR is that of the mean over images. The paired bootstrap over images (Efron 1979), bias-corrected and
    accelerated, by scipy.
    """
    from scipy.stats import bootstrap

    def difference(candidate: np.ndarray, champion: np.ndarray, axis: int = -1) -> np.ndarray:
        return psnr(candidate.mean(axis=axis)) - psnr(champion.mean(axis=axis))

    estimate = float(difference(candidate, champion))
    if np.array_equal(candidate, champion):  # nothing varies
        return Difference(estimate, estimate, estimate)
    interval = bootstrap(
        (candidate, champion),
        difference,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, 5_000_000 // len(candidate)),  # bounds the memory
        confidence_level=2 * confidence - 1,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Difference(estimate, float(interval.low), float(interval.high))


def kid_difference(candidate: KidSamples, champion: KidSamples, confidence: float) -> Difference:
    """The difference of two mean KIDs, champion minus candidate.

    There are two sources of variance: the samples, which differ between repeats, and the real images, which all repeats
    share. KID is linear in the real images except for a term that cancels, so that they add the variance of a mean over
    images. Student's t interval, with one degree of freedom fewer than there are repeats.
    """
    from scipy.stats import t

    gained = champion.kids - candidate.kids
    nearer = 2 * (candidate.affinities - champion.affinities)
    error = (gained.var(ddof=1) / len(gained) + nearer.var(ddof=1) / len(nearer)) ** 0.5
    estimate, half = float(gained.mean()), float(t.ppf(confidence, len(gained) - 1) * error)
    return Difference(estimate, estimate - half, estimate + half)
