"""Cuts and doubles: every row in one place, every class in proportion."""

import numpy as np
import pytest

from convzoo.data.splits import deduplicate, stratified_split


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.333, 0.9])
@pytest.mark.parametrize("counts", [[50, 50, 50], [97, 11, 40], [2, 3, 500], [1, 30, 30]])
def test_a_cut_takes_every_class_in_proportion(counts, fraction):
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], counts))
    rest, drawn = stratified_split(labels, fraction, np.random.default_rng(1))
    assert sorted([*rest, *drawn]) == list(range(len(labels)))
    assert np.all(np.diff(rest) > 0) and np.all(np.diff(drawn) > 0)
    found = np.bincount(labels[drawn], minlength=3)
    assert np.all(np.abs(found - np.array(counts) * fraction) < 1)
    assert np.all(found < counts)
    if min(counts) > 3:
        assert len(drawn) == round(len(labels) * fraction)


def test_a_clean_keeps_every_row_in_one_place():
    generator = np.random.default_rng(0)
    names = [f"{number}" for number in generator.integers(0, 60, 200)]
    labels = np.array([int(name) % 3 for name in names])
    labels[::50] = 2
    found = deduplicate(names, labels, generator.random(200) < 0.3)
    rows = [*found.kept, *found.duplicates, *found.in_two_splits, *(row for rows in found.conflicts for row in rows)]
    assert sorted(rows) == list(range(200))
    assert len({names[row] for row in found.kept}) == len(found.kept)
