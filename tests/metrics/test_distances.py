"""Distances of generated images from real ones, with answers worked out by hand or by SciPy."""

import numpy as np
import pytest
from helpers import references
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


@pytest.mark.parametrize("images", [(30, 30), (41, 25), (24, 39)])
def test_precision_and_recall_are_those_of_all_pairs_of_the_first_images(images, monkeypatch):
    monkeypatch.setattr(measures, "ROWS", 7)  # several parts, and a shorter last one
    rng, count = np.random.default_rng(0), min(images)
    real, made = rng.normal(5, 1, (images[0], 3)), rng.normal(5.8, 1.6, (images[1], 3))
    first, second, differ = real[:count], made[:count], False
    for k in (1, 4):
        expected = references.covered(second, first, k), references.covered(first, second, k)
        assert measures.precision_recall(real, made, k) == pytest.approx(expected)
        assert min(expected) > 0
        differ |= len(set(expected)) == 2
    assert differ


def test_few_images_have_as_many_neighbours_as_there_are():
    real, made = np.array([[0.0], [1.0], [5.0]]), np.array([[2.0], [5.5], [100.0]])
    assert measures.precision_recall(real, made, 9) == measures.precision_recall(real, made, 2) == (2 / 3, 1.0)


def test_the_frechet_distance_of_fewer_images_than_features():
    rng = np.random.default_rng(1)
    real, made = rng.normal(2, 1, (6, 9)).astype(np.float32), rng.normal(2.5, 2, (9, 9)).astype(np.float32)
    first, second = np.cov(real.T.astype(float)), np.cov(made.T.astype(float))
    common = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    gap = real.mean(0) - made.mean(0)
    expected = gap @ gap + np.trace(first) + np.trace(second) - 2 * common
    assert measures.frechet_distance(real, made) == pytest.approx(expected, rel=1e-4)


def test_nearest_is_that_of_all_distances_also_for_bytes(monkeypatch):
    monkeypatch.setattr(measures, "ROWS", 4)
    rng = np.random.default_rng(3)
    for images, others in (
        (rng.normal(7, 1, (9, 3)), rng.normal(7, 1, (21, 3))),
        (rng.integers(0, 256, (9, 5), np.uint8), rng.integers(0, 256, (21, 5), np.uint8)),
    ):
        distances = np.linalg.norm(images[:, None].astype(float) - others[None], axis=2)
        found = measures.nearest(images, others)
        assert found.tolist() == distances.argmin(axis=1).tolist() and found.dtype == np.int64
    assert measures.nearest(np.array([[1.0]]), np.array([[2.0], [0.0]] * 4)).tolist() == [0]  # the first of equals


def test_a_comparison_has_every_distance_under_its_name():
    rng = np.random.default_rng(4)
    real, made = rng.normal(0, 1, (33, 4)), rng.normal(0.3, 1.4, (29, 4))

    class Settings:
        neighbours, kid_subsets, kid_subset_images, seed = 3, 4, 10, 6

    found = measures.compare(real, made, 3, 4, 10, 6)
    assert found._asdict() == pytest.approx(references.of_generated(real, made, Settings))
