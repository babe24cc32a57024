"""Measures of class probabilities, with answers worked out by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from convzoo.metrics import classification as measures
from convzoo.metrics.classification import superclass_probabilities

# Four images: right with 0.9, wrong with 0.6, right with 0.5, wrong with 0.7 (the right class comes second).
PROBABILITIES = np.array([[0.9, 0.1, 0.0], [0.1, 0.3, 0.6], [0.3, 0.2, 0.5], [0.7, 0.2, 0.1]], np.float32)
LABELS = np.array([0, 0, 2, 1])


def test_wilson_interval_also_at_its_ends():
    # (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) for p = 0.9, n = 100, z = 1.959964
    assert measures.wilson_interval(90, 100, 0.95) == pytest.approx((0.825634, 0.944770), abs=1e-6)
    low, high = measures.wilson_interval(10, 10, 0.95)
    assert high == 1
    assert low == pytest.approx(10 / (10 + 1.959964**2), abs=1e-6)
    assert measures.wilson_interval(0, 10, 0.95) == pytest.approx((0, 1 - low), abs=1e-6)


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (2, 0.75), (3, 1.0), (5, 1.0)])
def test_top_k_accuracy(k, expected):
    assert measures.top_k_accuracy(PROBABILITIES, LABELS, k) == expected


def test_equal_probabilities_count_as_the_argmax_does():
    even = np.full((2, 4), 0.25, np.float32)
    assert measures.top_k_accuracy(even, np.array([0, 3]), 1) == 0.5
    assert measures.top_k_accuracy(even, np.array([1, 2]), 2) == 0.5


def test_the_probability_of_a_superclass_is_the_sum_of_its_classes_probabilities():
    found = superclass_probabilities(PROBABILITIES, np.array([1, 0, 1]))
    np.testing.assert_allclose(found, [[0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.2, 0.8]], atol=1e-6)
    # The most probable class is of the superclass 0, the most probable superclass is 1.
    assert superclass_probabilities(np.array([[0.4, 0.35, 0.25]]), np.array([0, 1, 1])).argmax() == 1


def test_log_loss():
    expected = -np.log([0.9, 0.1, 0.5, 0.2]).mean()
    assert measures.log_loss(PROBABILITIES, LABELS) == pytest.approx(expected, abs=1e-6)
    assert measures.log_loss(np.array([[1.0, 0.0]], np.float32), np.array([1])) == pytest.approx(87.33655)
    assert str(measures.log_loss(np.array([[1.0, 0.0]], np.float32), np.array([0]))) == "0.0"


def test_calibration_error_of_two_bins():
    # (0, 0.5]: one image, confidence 0.5, right. (0.5, 1]: three, confidence (0.9 + 0.6 + 0.7) / 3, one right.
    lower, upper = measures.calibration_bins(PROBABILITIES, LABELS, 2)
    assert lower == pytest.approx((0, 0.5, 1, 0.5, 1.0))
    assert upper == pytest.approx((0.5, 1, 3, 2.2 / 3, 1 / 3))
    assert measures.calibration_error([lower, upper]) == pytest.approx(1 / 4 * 0.5 + 3 / 4 * 0.4)


def test_bins_without_images_count_nothing():
    table = measures.calibration_bins(PROBABILITIES, LABELS, 10)
    assert [row.images for row in table] == [0, 0, 0, 0, 1, 0, 2, 0, 1, 0]
    assert table[0] == (0, 0.1, 0, None, None)


def test_calibration_error_of_certain_and_right_answers_is_zero():
    table = measures.calibration_bins(np.eye(3, dtype=np.float32), np.arange(3), 15)
    assert table[-1].images == 3
    assert measures.calibration_error(table) == 0


def test_confusion_and_class_scores():
    answers = PROBABILITIES.argmax(axis=1)
    assert measures.confusion(LABELS, answers, 3).tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 1]]
    assert measures.class_scores(LABELS, answers, 3) == [
        pytest.approx((1 / 2, 1 / 2, 1 / 2, 2)),
        pytest.approx((0, 0, 0, 1)),  # never answered: no precision
        pytest.approx((1 / 2, 1, 2 / 3, 1)),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn_and_scipy(seed):
    rng = np.random.default_rng(seed)
    labels, answers = rng.integers(0, 5, 60), rng.integers(0, 6, 60)  # nobody is of the last class
    np.testing.assert_array_equal(measures.confusion(labels, answers, 6), confusion_matrix(labels, answers))
    expected = precision_recall_fscore_support(labels, answers, zero_division=0)
    np.testing.assert_allclose(np.array(measures.class_scores(labels, answers, 6)).T, expected)
    right, confidence = int((labels == answers).sum()), (0.8, 0.9, 0.95, 0.99, 0.999)[seed]
    expected = binomtest(right, 60).proportion_ci(confidence_level=confidence, method="wilson")
    np.testing.assert_allclose(measures.wilson_interval(right, 60, confidence), expected)


def test_worst_mistakes_come_by_falling_probability():
    assert measures.worst_mistakes(PROBABILITIES, LABELS, 5).tolist() == [3, 1]
    assert measures.worst_mistakes(PROBABILITIES, LABELS, 1).tolist() == [3]
    assert measures.worst_mistakes(np.eye(3), np.arange(3), 5).tolist() == []


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[0.5, 0.5], [np.nan, 0.5]], [0, 1], "1 of 2 rows are not probabilities, first row 1"),
        ([[0.5, 0.6]], [0], "first row 0: sum 1.1"),
        ([[1.5, -0.5]], [0], "smallest -0.5"),
        ([[0.5, 0.5]], [2], "expected labels from 0 to 1, got 2 to 2"),
        ([[0.5, 0.5]], [-1], "expected labels from 0 to 1, got -1 to -1"),
        ([[0.5, 0.5]], [0, 1], r"got \(1, 2\) and \(2,\)"),
    ],
)
def test_what_is_no_probability_is_refused(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        measures.check_probabilities(np.array(probabilities), np.array(labels))
