"""Measures of class probabilities, with answers worked out by hand."""

import numpy as np
import pytest
from helpers import references
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

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


def test_wilson_intervals_stay_between_0_and_1_whatever_the_rounding():
    ends = [measures.wilson_interval(correct, n, 0.95) for n in range(1, 300) for correct in (0, n)]
    assert min(low for low, _ in ends) == 0 and max(high for _, high in ends) == 1


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (2, 0.75), (3, 1.0), (5, 1.0)])
def test_top_k_accuracy(k, expected):
    assert measures.top_k_accuracy(PROBABILITIES, LABELS, k) == expected


def test_equal_probabilities_count_as_the_argmax_does():
    even = np.full((2, 4), 0.25, np.float32)
    assert measures.top_k_accuracy(even, np.array([0, 3]), 1) == 0.5
    assert measures.top_k_accuracy(even, np.array([1, 2]), 2) == 0.5
    many = np.tile([0.0, 0.02], (50, 50))  # a sort that is not stable would mix the fifty of each
    assert measures.top_k_accuracy(many, np.arange(50), 20) == 20 / 50  # the first twenty odd classes


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


def test_a_class_of_a_single_image_that_is_found_has_full_scores():
    answers = np.array([0, 1, 1, 1])
    assert measures.class_scores(answers, answers, 3) == [(1, 1, 1, 1), (1, 1, 1, 3), (0, 0, 0, 0)]


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


@pytest.mark.parametrize("seed", range(3))
def test_probabilities_of_many_images_are_measured_as_scikit_learn_does(seed):
    rng = np.random.default_rng(seed)
    labels, k = rng.integers(0, 5, 80), seed + 1
    probabilities = rng.dirichlet(np.ones(5), 80).astype(np.float32)
    expected = top_k_accuracy_score(labels, probabilities, k=k, labels=range(5)) if k > 1 else None
    assert measures.top_k_accuracy(probabilities, labels, k) == (expected or np.mean(probabilities.argmax(1) == labels))
    assert measures.log_loss(probabilities, labels) == pytest.approx(references.cross_entropy(probabilities, labels))
    table = list(references.bins(probabilities, labels, 7))
    for found, row in zip(measures.calibration_bins(probabilities, labels, 7), table, strict=True):
        assert found == (pytest.approx(row) if row[2] else row)
    expected = sum(row[2] * abs(row[3] - row[4]) for row in table if row[2]) / 80
    assert measures.calibration_error(measures.calibration_bins(probabilities, labels, 7)) == pytest.approx(expected)


def test_a_probability_at_an_edge_is_in_the_lower_bin():
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]])
    rows = measures.calibration_bins(probabilities, np.zeros(3, int), 4)
    assert [row.images for row in rows] == [0, 1, 1, 1]


def test_the_table_of_two_classifiers_and_its_exact_p_value():
    labels = np.array([0] * 20)
    first, second = (
        np.array([int(digit) for digit in digits]) for digits in ("0" * 14 + "1" * 6, "0" * 5 + "1" * 12 + "0" * 3)
    )
    assert measures.mcnemar_test(labels, first, second)[:4] == (5, 9, 3, 3)
    for swapped in ((first, second), (second, first)):
        assert measures.mcnemar_test(labels, *swapped).p_value == pytest.approx(binomtest(3, 12).pvalue)
    tied = measures.mcnemar_test(np.zeros(2, int), np.array([0, 1]), np.array([1, 0]))
    assert tied == (0, 1, 1, 0, 1.0)


def test_views_are_averaged_as_logits():
    views = [np.array([[0.9, 0.1, 0.0]], np.float32), np.array([[0.4, 0.4, 0.2]], np.float32)]
    found = measures.average_views(views)
    logits = np.log([[0.9 * 0.4, 0.1 * 0.4, measures.SMALLEST * 0.2]]) / 2
    np.testing.assert_allclose(found, softmax(logits, axis=1), rtol=1e-5)
    np.testing.assert_allclose(measures.average_views([np.array([[1e-3, 0.999]])] * 3), [[1e-3, 0.999]])


def test_sums_may_be_off_by_a_thousandth():
    labels = np.array([0, 1])
    measures.check_probabilities(np.array([[0.5, 0.5009], [0.5, 0.4991]]), labels)
    for other in (0.503, 0.497):
        with pytest.raises(ValueError, match="1 of 2 rows are not probabilities, first row 1: sum"):
            measures.check_probabilities(np.array([[0.5, 0.5], [0.5, other]]), labels)
    with pytest.raises(ValueError, match=r"2 of 2 rows .* first row 0: sum 1, smallest -0\.1;"):
        measures.check_probabilities(np.array([[1.1, -0.1], [-0.2, 1.2]]), labels)
    for wrong in (np.full(2, 0.5), np.ones((0, 2)), np.full((2, 1, 2), 0.5)):
        with pytest.raises(ValueError, match=r"expected \(N, K\) probabilities and \(N,\) labels"):
            measures.check_probabilities(wrong, labels[: len(wrong)])


def test_worst_mistakes_come_by_falling_probability():
    assert measures.worst_mistakes(PROBABILITIES, LABELS, 5).tolist() == [3, 1]
    assert measures.worst_mistakes(PROBABILITIES, LABELS, 1).tolist() == [3]
    assert measures.worst_mistakes(np.eye(3), np.arange(3), 5).tolist() == []
    even = np.array([[0.6, 0.4, 0.0]] * 20)
    assert measures.worst_mistakes(even, np.ones(20, int), 20).tolist() == [*range(20)]  # ties in row order


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


def test_last_bits_decide_no_ranking():
    near = np.array([[0.3, 0.35, 0.35], [0.3, 0.35, 0.35]], np.float32)
    near[0, 2] = np.nextafter(near[0, 1], np.float32(1))  # the later class is more probable by one bit
    labels = np.array([1, 1])
    assert measures.most_probable(near).tolist() == [1, 1]
    assert measures.top_k_accuracy(near, labels, 1) == 1
    assert measures.calibration_bins(near, labels, 1)[0].accuracy == 1
    assert measures.worst_mistakes(near, np.array([0, 0]), 2).tolist() == [0, 1]
    assert measures.most_probable(np.array([[0.3, 0.34998, 0.35002]])).tolist() == [2]
