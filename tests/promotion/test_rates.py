"""How often the gate is wrong, over 200 pairs of models of known difference; `pytest -s` prints the table.

A tie must be promoted no more often than 1 less the confidence says; a model that is better by far must not be refused
often. Val has 200 images and test 400, about as in the profile starter.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import binom
from threadpoolctl import threadpool_limits

from convzoo.families.dcgan.promote import kid_samples
from convzoo.families.probabilities.settings import PromotionSettings
from convzoo.promotion import comparison, gate
from convzoo.promotion.measuring import Measurement

PAIRS, CONFIDENCE = 200, 0.95
IMAGES = {"val": 200, "test": 400}
RESAMPLES, REPEATS, SAMPLES, FEATURES = 500, 8, 60, 16
SETTINGS = PromotionSettings.model_construct(rule="better", not_worse_by=0.0, confidence=CONFIDENCE)

Outcomes = tuple  # the candidate's and the champion's


class Family(NamedTuple):
    """How a family's pairs are drawn and compared."""

    draw: Callable[[np.random.Generator, int, float], Outcomes]
    compare: Callable[[np.ndarray, np.ndarray], comparison.Difference]
    worse: float  # known differences of the candidate, in the family's unit
    better: float


def answers(chance: np.random.Generator, images: int, gain: float) -> Outcomes:
    """Right answers of a champion with 90 %, and of a candidate with so much more; most errors are shared."""
    hard = chance.random(images)
    champion = hard > 0.1
    moved = chance.random(images) < 0.04  # of the images, where the candidate answers otherwise by chance
    candidate = np.where(moved, chance.random(images) > 0.1, champion)
    flips = chance.random(images) < abs(gain) / (0.1 if gain > 0 else 0.9)
    return np.where(flips & (candidate == (gain < 0)), gain > 0, candidate), champion


def errors(chance: np.random.Generator, images: int, gain: float) -> Outcomes:
    """Squared errors of a champion, and of a candidate whose PSNR is so many dB higher."""
    champion = chance.gamma(2, 100, images)
    return champion * np.exp(chance.normal(0, 0.3, images) - 0.045) / 10 ** (gain / 10), champion


def samples(chance: np.random.Generator, images: int, gain: float) -> Outcomes:
    """KIDs of repeated samples against real features; the candidate's mean lies nearer by `gain`, of 0.8.

    The two are off in different directions, so that the choice of real images favours one of them.
    """
    real = chance.normal(size=(images, FEATURES)).astype(np.float32)
    found = []
    for direction, distance in ((0, 0.8 - gain), (1, 0.8)):
        shift = np.zeros(FEATURES, np.float32)
        shift[direction] = distance
        drawn = (chance.normal(size=(REPEATS, SAMPLES, FEATURES)) + shift).astype(np.float32)
        found.append(kid_samples(real, list(drawn)))
    return found[0], found[1]


FAMILIES = {
    "accuracy": Family(answers, lambda a, b: comparison.accuracy_difference(a, b, CONFIDENCE), -0.04, 0.08),
    "PSNR": Family(errors, lambda a, b: comparison.psnr_difference(a, b, CONFIDENCE, RESAMPLES, 0), -0.2, 0.3),
    "KID": Family(samples, lambda a, b: comparison.kid_difference(a, b, CONFIDENCE), -0.3, 0.6),
}


def promotions(name: str, gain: float, seed: int) -> tuple[int, int]:
    """Of 200 candidates of this known difference: how many val would promote, and how many val and test do."""
    family, chance, promoted = FAMILIES[name], np.random.default_rng(seed), dict.fromkeys(IMAGES, 0)
    for _ in range(PAIRS):
        for split, images in IMAGES.items():  # as in a promotion, test is not looked at unless val passes
            found = [Measurement({"main": 0.0}, outcome) for outcome in family.draw(chance, images, gain)]
            difference = family.compare(found[0].outcomes, found[1].outcomes)
            if not gate.gain_condition(split, "main", SETTINGS, found, difference).passed:
                break
            promoted[split] += 1
    return promoted["val"], promoted["test"]


@pytest.mark.parametrize("name", FAMILIES)
def test_ties_are_promoted_as_seldom_as_the_confidence_says(name):
    family = FAMILIES[name]
    with threadpool_limits(1):  # small matrices: threads would only wait for each other
        counts = {gain: promotions(name, gain, seed) for seed, gain in enumerate((0.0, family.worse, family.better))}
    for gain, (val, both) in counts.items():
        print(
            f"\n{name}, candidate better by {gain:g}: promoted by val {val}, by val and test {both} of {PAIRS}", end=""
        )
    allowed = binom.ppf(0.999, PAIRS, 1 - CONFIDENCE)
    assert counts[0.0][1] <= allowed
    assert counts[family.worse][1] == 0
    assert counts[family.better][1] >= 0.8 * PAIRS
