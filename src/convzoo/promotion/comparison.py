"""By how much one model is better than another on the same images: functions of arrays, with an interval each.

Every interval is one-sided at each end: the true difference lies above `low` with the stated confidence, and below
`high` with the same.
"""

from typing import NamedTuple

import numpy as np

from convzoo.metrics.images import psnr

# scipy is imported where it is used, since that takes time.


class Difference(NamedTuple):
    """How much better the candidate is, in the unit of the main measure; above 0: better."""

    estimate: float
    low: float
    high: float


class Kids(NamedTuple):
    """Repeated samples of a generator against the same real images."""

    kids: np.ndarray  # (R,): of each sample
    affinities: np.ndarray  # (N,): of each real image, the kernel's mean over all samples


def of_answers(candidate: np.ndarray, champion: np.ndarray, confidence: float) -> Difference:
    """The difference of two accuracies; booleans (N,) each say which images were answered right.

    The score interval for paired shares of Tango 1998 (Statistics in Medicine 17:891-908), which inverts the test of
    McNemar 1947: it excludes 0 where that test, without a correction for continuity, does.
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
        share = (np.sqrt(b * b + 8 * images * lost * difference * (1 - difference)) - b) / (4 * images)
        variance = images * (2 * share + difference * (1 - difference))
        gap = gained - lost - images * difference
        return gap / np.sqrt(variance) if variance > 0 else np.copysign(np.inf, gap) if gap else 0.0

    def end(sign: int) -> float:
        """Where the score is `sign` z: away from the estimate towards -1 or 1, or there if it never is."""
        limit = -sign * (1 - 1e-12)
        if sign * score(limit) <= z:
            return float(limit)
        near = estimate - sign * 1e-12
        return float(brentq(lambda difference: sign * score(difference) - z, near, limit, xtol=1e-10))

    return Difference(estimate, end(1), end(-1))


def of_errors(candidate: np.ndarray, champion: np.ndarray, confidence: float, resamples: int, seed: int) -> Difference:
    """The difference of two PSNRs (dB), each that of the mean over images; mean squared errors (N,) of the same ones.

    The paired bootstrap over images (Efron 1979), bias-corrected and accelerated, by scipy.
    """
    from scipy.stats import bootstrap

    def difference(candidate: np.ndarray, champion: np.ndarray, axis: int = -1) -> np.ndarray:
        return psnr(candidate.mean(axis=axis)) - psnr(champion.mean(axis=axis))

    estimate = float(difference(candidate, champion))
    if np.array_equal(candidate, champion):  # nothing varies
        return Difference(estimate, estimate, estimate)
    found = bootstrap(
        (candidate, champion),
        difference,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, 5_000_000 // len(candidate)),  # what is in memory at once
        confidence_level=2 * confidence - 1,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Difference(estimate, float(found.low), float(found.high))


def of_samples(candidate: Kids, champion: Kids, confidence: float) -> Difference:
    """The difference of two mean KIDs, champion less candidate.

    Two things vary: the samples, which repeating shows, and the real images, which all repeats share. KID is linear in
    those but for a part that cancels, so that they add the variance of a mean over images. Student's interval, with as
    few degrees of freedom as there are repeats less one.
    """
    from scipy.stats import t

    gained = champion.kids - candidate.kids
    nearer = 2 * (candidate.affinities - champion.affinities)
    error = (gained.var(ddof=1) / len(gained) + nearer.var(ddof=1) / len(nearer)) ** 0.5
    estimate, half = float(gained.mean()), float(t.ppf(confidence, len(gained) - 1) * error)
    return Difference(estimate, estimate - half, estimate + half)
