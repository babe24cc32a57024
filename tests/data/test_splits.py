"""Cuts and doubles: every row in one place, every class in proportion, or every image by its content."""

import hashlib
from collections import Counter, defaultdict

import numpy as np
import pytest
from helpers.raw_sets import settings

from convzoo.data.splits import deduplicate, draw_split, hashed_split, stratified_split


def quotas(counts: list[int], fraction: float) -> list[int]:
    """How many of each class are drawn, by the method of largest remainders, one image at a time."""
    found = [int(count * fraction) for count in counts]
    missing = round(sum(counts) * fraction) - sum(found)
    by_remainder = sorted(range(len(counts)), key=lambda kind: found[kind] - counts[kind] * fraction)
    for kind in by_remainder[:missing]:
        found[kind] += 1
    return [min(number, count - 1) for number, count in zip(found, counts, strict=True)]


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.333, 0.9])
@pytest.mark.parametrize("counts", [[50, 50, 50], [97, 11, 40], [2, 3, 500], [1, 30, 30], [7, 7, 7, 7, 7, 6]])
def test_a_cut_takes_every_class_in_proportion(counts, fraction):
    labels = np.random.default_rng(0).permutation(np.repeat([5, 2, 9, 11, 12, 20][: len(counts)], counts))
    names, counts = np.unique(labels, return_counts=True)
    rest, drawn = stratified_split(labels, fraction, np.random.default_rng(1))
    assert sorted([*rest, *drawn]) == list(range(len(labels)))
    assert np.all(np.diff(rest) > 0) and np.all(np.diff(drawn) > 0)
    found = [int((labels[drawn] == name).sum()) for name in names]
    assert found == quotas(counts.tolist(), fraction)


def test_a_cut_is_random_and_the_same_for_the_same_generator():
    labels = np.arange(60) % 3
    cuts = [stratified_split(labels, 0.2, np.random.default_rng(seed))[1].tolist() for seed in (0, 0, 1)]
    assert cuts[0] == cuts[1] != cuts[2]
    drawn = Counter()
    for seed in range(300):
        drawn.update(stratified_split(labels, 0.2, np.random.default_rng(seed))[1].tolist())
    assert set(drawn) == set(range(60)) and max(drawn.values()) < 100  # 60 expected, with a deviation of 7


def digests_of(names) -> list[bytes]:
    return [hashlib.sha256(str(name).encode()).digest() for name in names]


def test_a_hashed_split_draws_the_images_whose_hash_is_below_the_fraction():
    digests = digests_of(range(4000))
    rest, drawn = hashed_split(np.arange(4000) % 2, digests, 0.1, b"7 val ")
    expected = [
        row
        for row, digest in enumerate(digests)
        if int(hashlib.sha256(b"7 val " + digest).hexdigest(), 16) < 2**256 // 10
    ]
    assert drawn.tolist() == expected and abs(len(drawn) - 400) < 76  # four deviations of 19
    assert sorted([*rest, *drawn]) == list(range(4000)) and np.all(np.diff(rest) > 0)


@pytest.mark.parametrize("seed", range(5))
def test_in_a_hashed_split_added_images_and_another_order_move_no_image(seed):
    generator = np.random.default_rng(seed)
    names = generator.permutation(1100)
    old = np.flatnonzero(names < 1000)
    few, many = ({*subset[drawn]} for subset, drawn in ((names[old], drawn_of(names[old])), (names, drawn_of(names))))
    assert few == {name for name in many if name < 1000} and len(many) > len(few)


def drawn_of(names: np.ndarray) -> np.ndarray:
    return hashed_split(names % 3, digests_of(names), 0.2, b"0 test ")[1]


@pytest.mark.parametrize("fraction", [0.001, 0.5, 0.999])
def test_a_hashed_split_leaves_and_draws_an_image_of_every_class_with_two(fraction):
    labels = np.repeat([0, 1, 2, 3], [1, 2, 3, 30])
    for salt in (b"a", b"b", b"c"):
        rest, drawn = hashed_split(labels, digests_of(range(36)), fraction, salt)
        assert set(labels[rest]) == {0, 1, 2, 3} and set(labels[drawn]) == {1, 2, 3}
    if fraction == 0.001:  # in each class, the smallest hash
        digests = digests_of(range(36))
        hashes = [hashlib.sha256(salt + digest).digest() for digest in digests]
        assert drawn.tolist() == sorted(
            min(np.flatnonzero(labels == label), key=hashes.__getitem__) for label in (1, 2, 3)
        )


def test_splits_are_drawn_by_the_rule_with_the_seed_and_the_fraction_of_each():
    labels, digests = np.arange(300) % 3, digests_of(range(300))
    for rule, draw in {
        "hashed": lambda seed, split, fraction: hashed_split(labels, digests, fraction, f"{seed} {split} ".encode()),
        "stratified": lambda seed, split, fraction: stratified_split(
            labels, fraction, np.random.default_rng([seed, ("test", "val").index(split)])
        ),
    }.items():
        for seed in (0, 3):
            for split, fraction in {"test": 0.3, "val": 0.1}.items():
                wanted = settings(split=rule, seed=seed, test_fraction=0.3, val_fraction=0.1)
                found = draw_split(split, labels, iter(digests), wanted)
                assert [rows.tolist() for rows in found] == [rows.tolist() for rows in draw(seed, split, fraction)]


def reference(digests: list[str], labels: np.ndarray, is_test: np.ndarray) -> dict[str, list]:
    """deduplicate, row by row."""
    rows_of, found = defaultdict(list), {"kept": [], "duplicates": [], "in_two_splits": [], "conflicts": []}
    for row, digest in enumerate(digests):
        rows_of[digest].append(row)
    for rows in rows_of.values():
        if len(set(labels[rows])) > 1:
            found["conflicts"].append(rows)
            continue
        keeper = next((row for row in rows if is_test[row]), rows[0])
        found["kept"].append(keeper)
        first_train = next((row for row in rows if not is_test[row]), None)
        for row in rows:
            if row != keeper:
                moved = is_test[keeper] and row == first_train
                found["in_two_splits" if moved else "duplicates"].append(row)
    return {name: sorted(rows) for name, rows in found.items()}


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_keeps_every_row_in_one_place(seed):
    generator = np.random.default_rng(seed)
    names = [f"{number}" for number in generator.integers(0, 60, 200)]
    labels = np.array([int(name) % 3 for name in names])
    labels[::50] = 2
    is_test = generator.random(200) < 0.3
    found = deduplicate(names, labels, is_test)
    rows = [*found.kept, *found.duplicates, *found.in_two_splits, *(row for rows in found.conflicts for row in rows)]
    assert sorted(rows) == list(range(200))
    assert len({names[row] for row in found.kept}) == len(found.kept)
    expected = reference(names, labels, is_test)
    assert found.conflicts == expected.pop("conflicts")
    assert expected["in_two_splits"] and expected["duplicates"]
    for name, rows in expected.items():
        array = getattr(found, name)
        assert (array.tolist(), array.dtype) == (rows, np.int64)


def test_nothing_and_no_doubles_leave_empty_parts_of_the_same_type():
    for digests in ([], ["a", "b"]):
        found = deduplicate(digests, np.arange(len(digests)), np.zeros(len(digests), bool))
        assert found.kept.tolist() == [*range(len(digests))] and found.conflicts == []
        assert {array.dtype for array in found[:3]} == {np.dtype(np.int64)}
        assert not len(found.duplicates) and not len(found.in_two_splits)
