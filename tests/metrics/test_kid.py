"""The kernel Inception distance and diversity, with answers worked out by hand."""

import numpy as np
import pytest

from convzoo.metrics.kid import diversity, kid, kid_over_subsets


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
