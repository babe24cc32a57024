"""The kernel Inception distance and diversity, with answers worked out by hand."""

import statistics

import numpy as np
import pytest
from helpers import references

from convzoo.metrics.kid import diversity, kid, kid_error, kid_over_subsets


def test_kid_is_unbiased_and_grows_with_the_distance():
    randomness = np.random.default_rng(0)
    real = randomness.standard_normal((300, 6))
    same = [kid(real, randomness.standard_normal((300, 6))) for _ in range(20)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 20**0.5 + 0.003
    assert min(same) < 0
    far, farther = (kid(real, randomness.standard_normal((300, 6)) + shift) for shift in (0.5, 1.0))
    assert 0.05 < far < farther


def test_kid_by_hand():
    # D = 1, kernel (xy + 1)^3. Real 0 and 1: k(0, 1) = 1. Generated 1 and 2: k(1, 2) = 27. Between: 1, 1, 8, 27.
    assert kid(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_kid_over_subsets_has_a_spread_and_the_same_draws_for_a_seed():
    randomness = np.random.default_rng(0)
    real, made = randomness.standard_normal((100, 5)), randomness.standard_normal((90, 5)) + 1
    found = kid_over_subsets(real, made, 10, 40, 0)
    assert found == kid_over_subsets(real, made, 10, 40, 0)
    assert 0 < found.spread < found.mean
    assert kid_over_subsets(real, made, 3, 1000, 0).spread > 0


def test_diversity_is_one_for_real_images_and_nothing_for_one_image_over_and_over():
    real = np.random.default_rng(0).standard_normal((50, 4))
    assert diversity(real, real[::-1]) == pytest.approx(1)
    assert diversity(real, np.repeat(real[:1], 9, axis=0)) == pytest.approx(0)


def test_kid_and_its_subsets_are_those_of_scikit_learns_kernel():
    rng = np.random.default_rng(5)
    real, made = rng.normal(size=(23, 6)).astype(np.float32), rng.normal(0.4, 1, (19, 6)).astype(np.float32)
    assert kid(real, made) == pytest.approx(references.kid(real.astype(float), made.astype(float)))
    for images, count in ((7, 7), (18, 18), (19, 18), (500, 18)):  # at most one fewer than the smaller side
        values = references.kids_of_subsets(real, made, 5, count, 8)
        found = kid_over_subsets(real, made, 5, images, 8)
        assert found == pytest.approx((statistics.fmean(values), statistics.stdev(values)))


def test_diversity_is_the_ratio_of_mean_squared_distances_between_pairs():
    rng = np.random.default_rng(2)
    real, made = rng.normal(3, 1, (12, 5)).astype(np.float32), rng.normal(-9, 0.4, (9, 5)).astype(np.float32)

    def spread(rows: np.ndarray) -> float:
        return statistics.fmean(np.square(a - b).sum() for i, a in enumerate(rows) for b in rows[i + 1 :])

    assert diversity(real, made) == pytest.approx(spread(made) / spread(real), rel=1e-5)


def test_the_error_of_kid_is_that_of_the_jackknife_in_any_number_of_pieces(monkeypatch):
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(25, 6)), rng.normal(0.3, 1, size=(17, 6))
    expected = pytest.approx(references.kid_error(real, generated), rel=1e-9)
    assert kid_error(real, generated) == expected
    monkeypatch.setattr("convzoo.metrics.kid.ROWS", 4)
    assert kid_error(real, generated) == expected


def test_the_error_of_kid_is_its_spread_over_samples():
    rng = np.random.default_rng(1)
    samples = [(rng.normal(size=(200, 4)), rng.normal(0.5, 1, size=(150, 4))) for _ in range(60)]
    errors, values = ([measure(*sample) for sample in samples] for measure in (kid_error, kid))
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.25)
