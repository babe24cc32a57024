"""The comparison of a log with the reference: silent if nothing changed, and alarmed by what changed."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chi2, ks_2samp

from convzoo.shipping.reference import Reference
from convzoo.watching.drift import compare, holm

CLASSES = ["a", "b", "c"]


def reference(random: np.random.Generator, count: int = 400) -> Reference:
    columns = {
        "brightness": random.normal(size=count),
        "contrast": random.exponential(size=count),
        "class": random.choice(3, count, p=[0.5, 0.3, 0.2]),
        "confidence": random.uniform(size=count),
    }
    return Reference({"classes": CLASSES, "images": count}, np.empty((0, 0)), columns)


def test_holm_is_the_largest_of_the_closed_tests():
    """The adjusted p-value is the largest Bonferroni p-value of all sets of hypotheses that contain the one."""
    random = np.random.default_rng(0)
    for _ in range(20):
        p_values = random.uniform(size=5) ** 2
        for index, found in enumerate(holm(p_values)):
            sets = [[i for i in range(5) if mask >> i & 1] for mask in range(32) if mask >> index & 1]
            assert found == pytest.approx(max(min(1, len(chosen) * min(p_values[chosen])) for chosen in sets))


def test_holm_does_not_depend_on_the_order():
    p_values = [0.01, 0.04, 0.03]
    for order in permutations(range(3)):
        assert holm([p_values[i] for i in order]) == [[0.03, 0.06, 0.06][i] for i in order]
    assert holm([]) == []


def test_if_nothing_changed_the_alarms_are_about_as_frequent_as_the_level():
    random = np.random.default_rng(1)
    draws = [compare(reference(random), reference(random, 150).columns, 0.2) for _ in range(200)]
    alarms = sum(any(row.drifted for row in draw) for draw in draws)
    assert 20 <= alarms <= 50, "0.2 of 200 are 40; a seed gives this number"


@pytest.mark.parametrize("name", ["brightness", "contrast", "confidence"])
def test_only_what_changed_has_drifted(name):
    random = np.random.default_rng(2)
    known, logged = reference(random), dict(reference(random).columns)
    logged[name] = logged[name] + 0.5
    [drifted] = [row for row in compare(known, logged, 0.05) if row.drifted]
    expected = ks_2samp(known.columns[name], logged[name])
    assert (drifted.name, drifted.test, drifted.distance) == (name, "Kolmogorov-Smirnov", expected.statistic)
    assert drifted.p_value == expected.pvalue and drifted.adjusted == min(1, 4 * expected.pvalue)
    assert drifted.reference == pytest.approx(known.columns[name].mean())
    assert drifted.logged == pytest.approx(logged[name].mean())


def test_a_class_that_is_missing_has_drifted_and_its_p_value_is_that_of_pearson():
    random = np.random.default_rng(3)
    known, logged = reference(random), dict(reference(random).columns)
    logged["class"] = logged["class"][logged["class"] != 2]
    [row] = [row for row in compare(known, logged, 0.05) if row.drifted]
    table = np.array(
        [[(column == label).sum() for label in range(3)] for column in (known.columns["class"], logged["class"])]
    )
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    assert (row.name, row.test, row.reference, row.logged) == ("class", "chi-squared", None, None)
    assert row.p_value == pytest.approx(chi2.sf((np.square(table - expected) / expected).sum(), 2))
    shares = table / table.sum(1, keepdims=True)
    assert row.distance == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)


def test_classes_that_are_too_rare_for_the_test_are_put_together():
    columns = {"class": np.repeat([0, 1, 2], [92, 4, 4])}
    known = Reference({"classes": CLASSES, "images": 100}, np.empty((0, 0)), columns)
    [row] = compare(known, {"class": np.repeat([0, 1, 2], [92, 5, 3])}, 0.05)
    assert row.p_value == 1, "92 and 8 in both"
    [row] = compare(known, {"class": np.zeros(100, int)}, 0.05)
    assert row.p_value == pytest.approx(chi2.sf(2 * 16 / 4 + 2 * 16 / 96, 1))
    alone = known._replace(columns={"class": np.zeros(100, int)})
    [row] = compare(alone, {"class": np.zeros(50, int)}, 0.05)
    assert (row.p_value, row.drifted) == (1, False)


def test_a_difference_below_the_least_distance_is_no_drift():
    random = np.random.default_rng(4)
    known, logged = reference(random, 4000), dict(reference(random, 4000).columns)
    logged["brightness"] = logged["brightness"] + 0.25
    [row] = [row for row in compare(known, logged, 0.05) if row.drifted]
    assert 0.08 < row.distance < 0.12
    assert not any(row.drifted for row in compare(known, logged, 0.05, 0.12))


def test_what_the_log_lacks_is_not_compared():
    random = np.random.default_rng(5)
    logged = reference(random).columns | {"contrast": np.array([])}
    del logged["class"]
    assert [row.name for row in compare(reference(random), logged, 0.05)] == ["brightness", "confidence"]
