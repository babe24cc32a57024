"""What export.json records of the agreement between a file and the weights, and what the gate makes of it."""

import numpy as np
import pytest

from convzoo.promotion.gate import _parity_condition
from convzoo.shipping.parity import Parity, compare, parity_of

# export.json of versions that were registered before the key `files`.
OLD_CLASSIFIER = {"split": "val", "images": 40, "max_abs_difference": 2.4e-07, "same_top1": 40, "tolerance": 0.0001}
OLD_DCGAN = {
    "images": 64,
    "max_levels": 1,
    "share_different": 2.1e-05,
    "tolerance_levels": 1,
    "tolerance_share": 0.001,
}
OLD_AUTOENCODER = {
    "split": "val",
    "images": 50,
    "decoded": {"max_levels": 0, "share_of_pixels": 0.0},
    "latents": {"max_abs_difference": 5.7e-06, "tolerance": 0.0088},
    "reconstructions": {"max_levels": 1, "share_of_pixels": 6.5e-06},
}
OLD = {
    "classifier": (
        OLD_CLASSIFIER,
        {"model.onnx": Parity("probability", 2.4e-07, 0.0001, top1_agreement=1.0)},
        ("<= 0.0001 probability", "2.4e-07"),
    ),
    "dcgan": (
        OLD_DCGAN,
        {"model.onnx": Parity("grey level", 1, 1, 2.1e-05, 0.001)},
        ("<= 1 grey level on 0.001 of them", "1 on 2.1e-05"),
    ),
    "autoencoder": (
        OLD_AUTOENCODER,
        {
            "model.onnx": Parity("grey level", 1, 1, 6.5e-06, 0.001),
            "extra/encoder.onnx": Parity("latent", 5.7e-06, 0.0088),
            "extra/decoder.onnx": Parity("grey level", 0, 1, 0.0, 0.001),
        },
        (
            "<= 1 grey level on 0.001 of them, <= 0.0088 latent, <= 1 grey level on 0.001 of them",
            "1 on 6.5e-06, 5.7e-06, 0 on 0",
        ),
    ),
}


def gate(export: dict):
    return _parity_condition([*parity_of(export).values()])


@pytest.mark.parametrize("form", OLD)
def test_records_of_versions_that_are_registered_already_are_read_and_pass(form):
    recorded, expected, told = OLD[form]
    found = parity_of({"parity": recorded})
    assert {name: found[name] for name in expected} == expected == found
    row = gate({"parity": recorded})
    assert row.passed and sorted(row.required.split(", ")) == sorted(told[0].split(", "))
    assert sorted(row.candidate.split(", ")) == sorted(told[1].split(", "))


@pytest.mark.parametrize(
    ("recorded", "change"),
    [
        (OLD_CLASSIFIER, {"max_abs_difference": 0.01}),
        (OLD_CLASSIFIER, {"same_top1": 39}),
        (OLD_DCGAN, {"max_levels": 2}),
        (OLD_DCGAN, {"share_different": 0.002}),
        (OLD_AUTOENCODER, {"latents": {"max_abs_difference": 0.009, "tolerance": 0.0088}}),
        (OLD_AUTOENCODER, {"decoded": {"max_levels": 2, "share_of_pixels": 0.0}}),
        (OLD_AUTOENCODER, {"reconstructions": {"max_levels": 1, "share_of_pixels": 0.01}}),
    ],
)
def test_an_old_record_beyond_its_limits_fails(recorded, change):
    assert not gate({"parity": recorded | change}).passed


@pytest.mark.parametrize("export", [{}, {"parity": {}}, {"parity": {"split": "val"}}, {"parity": {"files": {}}}])
def test_without_a_record_the_gate_says_so(export):
    row = gate(export)
    assert (row.candidate, row.passed) == ("not recorded", False)


def test_every_file_of_a_record_counts():
    good = {"unit": "probability", "largest": 1e-6, "allowed": 1e-4, "top1_agreement": 1.0}
    for bad in (good | {"largest": 1e-3}, good | {"top1_agreement": 0.95}):
        files = {"model.onnx": good, "parts/features_head.onnx": bad}
        assert not gate({"parity": {"split": "val", "images": 20, "files": files}}).passed
    row = gate({"parity": {"split": "val", "images": 20, "files": {"model.onnx": good | {"top1_agreement": 0.95}}}})
    assert row.candidate == "1e-06, top-1 agreement 95.00 %"


def test_a_record_is_read_as_it_was_written():
    rng = np.random.default_rng(0)
    for unit in ("probability", "latent", "feature"):
        expected = rng.random((6, 4)).astype(np.float32)
        found = compare(expected, expected + np.float32(1e-6), unit)
        assert found.holds
        block = found.record()
        assert parity_of({"parity": {"files": {"model.onnx": block}}})["model.onnx"].record() == block
        shown = {"unit", "largest", "allowed"} | ({"top1_agreement"} if unit == "probability" else set())
        assert set(block) == shown, "nothing about shares, which only grey levels have"


def test_probabilities_may_differ_by_a_ten_thousandth_and_not_in_their_first_class():
    expected = np.array([[0.7, 0.3], [0.50004, 0.49996]])
    assert compare(expected, expected + 9e-5, "probability").holds
    assert not compare(expected, expected + 1.1e-4, "probability").holds
    other = compare(expected, expected + np.array([[0, 0], [-5e-5, 5e-5]]), "probability")
    assert (other.top1_agreement, other.holds) == (0.5, False)


def test_one_grey_level_in_a_thousand_may_differ_by_one():
    expected = np.full((1, 50, 40, 1), 100, np.uint8)
    for values, step, holds in ((2, 1, True), (3, 1, False), (1, 2, False), (2, -1, True)):
        results = expected.copy()
        results.reshape(-1)[:values] += np.int8(step).astype(np.uint8)
        found = compare(expected, results, "grey level")
        assert (found.largest, found.share, found.holds) == (abs(step), values / 2000, holds)


@pytest.mark.parametrize("unit", ["latent", "feature"])
def test_latents_may_differ_by_a_thousandth_of_the_largest(unit):
    expected = np.array([[-20.0, 1.0]], np.float32)
    assert compare(expected, expected + 0.019, unit).holds
    assert not compare(expected, expected + 0.021, unit).holds


@pytest.mark.parametrize("unit", ["probability", "grey level", "latent", "feature"])
def test_another_shape_and_what_is_no_number_never_agree(unit):
    expected = np.ones((3, 4), np.float32)
    shorter = compare(expected, expected[:, :1], unit)
    assert (shorter.unit, shorter.largest, shorter.allowed, shorter.holds) == (unit, float("inf"), 0, False)
    assert not compare(expected, np.full_like(expected, np.nan), unit).holds
