"""Distances of generated images from real ones, with answers worked out by hand or by SciPy."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from convzoo.metrics import distances as measures


def test_the_frechet_distance_is_that_of_the_formula():
    randomness = np.random.default_rng(0)
    real = randomness.standard_normal((400, 5)) @ randomness.standard_normal((5, 5))
    made = randomness.standard_normal((300, 5)) @ randomness.standard_normal((5, 5)) + 0.5
    gap = real.mean(0) - made.mean(0)
    first, second = np.cov(real.T), np.cov(made.T)
    expected = gap @ gap + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert measures.frechet_distance(real, made) == pytest.approx(expected)
    assert measures.frechet_distance(real, real) == pytest.approx(0, abs=1e-8)
    # One number, normal distributions: the distance of the means and of the deviations.
    line = np.array([[-1.0], [1.0]])
    assert measures.frechet_distance(line, 3 * line + 2) == pytest.approx(2**2 + (3 - 1) ** 2 * 2)


def test_precision_and_recall_by_hand():
    # On a line, k = 1: each real image reaches as far as its nearest neighbour, 1 to either side.
    real = np.array([[0.0], [1.0], [2.0], [3.0]])
    inside, outside = np.array([[0.5], [1.5], [2.5], [3.9]]), np.array([[9.0], [9.5], [20.0], [21.0]])
    assert measures.precision_recall(real, inside, 1) == (1.0, 1.0)
    assert measures.precision_recall(real, outside, 1) == (0.0, 0.0)
    one_mode = np.array([[0.0], [0.01], [0.02], [0.03]])  # good, but all alike
    assert measures.precision_recall(real, one_mode, 1) == (1.0, 0.25)


def test_nearest_finds_the_row_also_in_a_later_part(monkeypatch):
    monkeypatch.setattr(measures, "ROWS", 3)
    others = np.arange(20, dtype=np.float32).reshape(10, 2)
    assert measures.nearest(others[[7, 0, 9]] + 0.1, others).tolist() == [7, 0, 9]
