"""Each condition of the gate at its bound, on measurements made by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.promotions import write_data

from convzoo.data.arrays import Split, digest, load_split
from convzoo.errors import ConvzooError
from convzoo.files import sha256_of, write_json
from convzoo.promotion import gate, ledger
from convzoo.promotion.comparison import Difference
from convzoo.promotion.gate import Condition, Contender
from convzoo.promotion.ledger import looks_at_test
from convzoo.promotion.measuring import Measurement
from convzoo.promotion.splits import current_splits, same_images
from convzoo.shipping import files as shipping

GOOD = {"unit": "probability", "largest": 1e-5, "allowed": 1e-4, "top1_agreement": 1.0}
CURRENT = {"val": "a" * 64, "test": "b" * 64}


def limits(**values: float | None) -> SimpleNamespace:
    return SimpleNamespace(**values, model_dump=lambda: values)


def settings(margin: float = 0.0, floors: dict | None = None, **ceilings: float | None) -> SimpleNamespace:
    ceilings = limits(**{"latency": None, "file_size": None} | ceilings)
    return SimpleNamespace(margin=margin, floors=limits(**floors or {}), ceilings=ceilings)


def measured(*values: float) -> list[Measurement]:
    return [Measurement({"accuracy": value, "error": 1 - value}, np.array([])) for value in values]


def contender(**changes: object) -> Contender:
    export = {"parity": {"files": {"model.onnx": GOOD}}}
    lineage = {"identity": {"data": {"val": CURRENT["val"]}}, "model_sha256": "c" * 64}
    return Contender("1", None, lineage, dict(CURRENT), export)._replace(**changes)


@pytest.mark.parametrize(
    ("split", "margin", "difference", "required", "passed"),
    [
        ("val", 0.0, Difference(0.02, 1e-9, 0.04), "whole interval above 0", True),
        ("val", 0.0, Difference(0.02, 0.0, 0.04), "whole interval above 0", False),
        ("val", 0.0, Difference(0.02, -0.001, 0.04), "whole interval above 0", False),
        ("val", 0.01, Difference(-0.005, -0.009, 0.04), "whole interval above -1 pp", True),
        ("val", 0.01, Difference(0.005, -0.01, 0.04), "whole interval above -1 pp", False),
        ("test", 0.0, Difference(1e-9, -0.02, 0.04), "estimate above 0", True),
        ("test", 0.0, Difference(0.0, -0.02, 0.04), "estimate above 0", False),
        ("test", 0.01, Difference(-0.009, -0.02, 0.04), "estimate above -1 pp", True),
        ("test", 0.01, Difference(-0.01, -0.005, 0.04), "estimate above -1 pp", False),
    ],
)
def test_val_decides_by_the_lower_end_and_test_by_the_estimate(split, margin, difference, required, passed):
    row = gate.gain_condition(split, "accuracy", settings(margin), measured(0.75, 0.5), difference)
    estimate, low, high = (f"{100 * value:+.2f} pp" for value in difference)
    assert row == (
        f"{split} accuracy: gain over champion",
        required,
        "75.00 %",
        "50.00 %",
        f"{estimate} ({low} to {high})",
        passed,
    )


def test_gains_and_limits_of_other_metrics_have_their_units():
    sides = [side._replace(values={"psnr": 23.456, "kid": 0.12345}) for side in measured(0.5, 0.5)]
    ends = {"psnr": (">= 22.5 dB", "23.46 dB"), "kid": (">= 0.5", "0.1235")}
    for key, (required, shown) in ends.items():
        (row,) = gate._limit_conditions("val", settings(floors={key: float(required[3:].split()[0])}), sides)
        assert row[1:4] == (required, shown, shown)
    row = gate.gain_condition("val", "psnr", settings(0.1), sides, Difference(0.25, -0.125, 0.5))
    assert row[1:5] == ("whole interval above -0.1 dB", "23.46 dB", "23.46 dB", "+0.25 dB (-0.12 dB to +0.50 dB)")


@pytest.mark.parametrize(("value", "passes"), [(0.8, True), (0.79999, False), (0.9, True)])
def test_a_floor_may_be_touched_and_so_may_a_ceiling(value, passes):
    rules = settings(floors={"accuracy": 0.8, "other": None}, error=None)
    assert [row.passed for row in gate._limit_conditions("val", rules, measured(value, 0.1))] == [passes]
    rules = settings(error=1 - 0.8, latency=0.0, file_size=0.0)
    (row,) = gate._limit_conditions("val", rules, measured(value, 0.1))
    assert row == ("val error", "<= 0.2", f"{1 - value:.4f}", "0.9000", "-", passes)
    (row,) = gate._limit_conditions("val", settings(floors={"missing": 0.5}), measured(value))
    assert row == ("val missing", ">= 0.5", "not measured", "-", "-", False)
    assert not list(gate._limit_conditions("val", SimpleNamespace(ceilings=settings().ceilings), measured(value)))


@pytest.mark.parametrize(("most", "passes"), [(0.0012, True), (0.0011, False)])
def test_size_and_latency_are_the_candidates_in_megabytes_and_milliseconds(tmp_path, monkeypatch, most, passes):
    for name, size in (("candidate", 1200), ("champion", 5_250_000)):
        (tmp_path / name).write_bytes(b"x" * size)
    models = [SimpleNamespace(path=tmp_path / name) for name in ("candidate", "champion")]
    split, seen = Split(np.arange(8, dtype=np.uint8).reshape(4, 2, 1, 1), np.arange(4)), []
    monkeypatch.setattr(gate, "load_split", {tmp_path: split}.__getitem__)
    monkeypatch.setattr(gate, "latencies", lambda models, image: seen.append(image.tolist()) or [most * 1e3, 99.0])
    latency, size = gate.cost_conditions(settings(latency=1.2, file_size=most), models, tmp_path)
    assert latency == ("latency of one input", "<= 1.2 ms", f"{most * 1e3:.2f} ms", "99.00 ms", "-", True)
    assert size == ("file size", f"<= {most:g} MB", "0.00 MB", "5.25 MB", "-", passes)
    assert seen == [[[[[0]], [[1]]]]]
    (slow,) = gate.cost_conditions(settings(latency=most * 1e3 - 0.01), models, tmp_path)
    assert not slow.passed
    assert gate.cost_conditions(settings(), models, tmp_path) == []


def test_a_split_is_measured_for_both_and_compared_only_if_there_is_a_champion(monkeypatch):
    images, seen = Split(np.zeros((1, 1, 1, 1), np.uint8), np.zeros(1)), []
    monkeypatch.setattr(gate, "load_split", lambda folder: seen.append(folder) or images)

    class Evaluator:
        main = "accuracy"

        def measure(self, model: float, split: Split) -> Measurement:
            assert split is images
            return measured(model)[0]

        def compare(self, candidate: Measurement, champion: Measurement) -> Difference:
            gain = candidate.values["accuracy"] - champion.values["accuracy"]
            return Difference(gain, gain - 0.1, gain + 0.1)

    rules = settings(floors={"accuracy": 0.5}, error=0.9)
    alone = gate.evaluate_split("test", Path("data"), Evaluator(), rules, [0.75])
    assert alone.difference is None and [row.condition for row in alone.conditions] == ["test accuracy", "test error"]
    assert alone.measured == {"candidate": {"accuracy": 0.75, "error": 0.25}}
    both = gate.evaluate_split("val", Path("data"), Evaluator(), rules, [0.75, 0.5])
    assert both.difference == pytest.approx((0.25, 0.15, 0.35))
    assert both.conditions[-1][:4] == (
        "val accuracy: gain over champion",
        "whole interval above 0",
        "75.00 %",
        "50.00 %",
    )
    assert both.measured["champion"] == {"accuracy": 0.5, "error": 0.5}
    assert seen == [Path("data/test"), Path("data/val")]


@pytest.mark.parametrize(
    ("verdict", "candidate", "champion", "failed"),
    [
        ({}, {}, None, []),
        ({}, {}, {}, []),
        ({"passed": False}, {}, {}, ["data checks of drawn: failed"]),
        ({"val": "d" * 64}, {}, {}, ["data checks of drawn: other data"]),
        ({}, {"export": {}}, {}, ["same outputs as the PyTorch weights: not recorded"]),
        ({}, {"splits": {"val": "a" * 12, "test": "b" * 64}}, {}, []),  # MLflow has only the beginning
        ({}, {"splits": {"val": "a" * 64}}, {}, ["same test images: unknown"]),
        ({}, {"splits": {"val": "d" * 64, "test": "b" * 64}}, {}, ["same val images: dddddddddddd"]),
        ({}, {}, {"splits": {"val": "a" * 64, "test": "d" * 64}}, ["same test images: bbbbbbbbbbbb"]),
        ({}, {}, {"export": {}}, []),  # the champion's parity was judged when it was promoted
    ],
)
def test_what_must_hold_before_anything_is_measured(verdict, candidate, champion, failed):
    sides = contender(**candidate), None if champion is None else contender(**champion)
    rows = gate.preconditions(*sides, "drawn", CURRENT, {"passed": True, "val": CURRENT["val"]} | verdict)
    names = ["same outputs as the PyTorch weights", "data checks of drawn", "same val images", "same test images"]
    assert [row.condition for row in rows] == names
    assert [f"{row.condition}: {row.candidate}" for row in rows if not row.passed] == failed
    assert [row.required for row in rows[1:]] == ["passed", "a" * 12, "b" * 12]
    assert rows[3].champion == ("-" if champion is None else sides[1].splits["test"][:12])


def test_the_file_in_the_registry_is_the_exported_one(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"weights")
    lineage = contender().lineage | {"model_sha256": sha256_of(file)}
    row = gate.file_condition(contender(file=file, lineage=lineage))
    assert row == ("file in the registry", f"sha256 {sha256_of(file)[:12]}", sha256_of(file)[:12], "-", "-", True)
    assert gate.file_condition(contender(file=file))[1:] == (f"sha256 {'c' * 12}", row.candidate, "-", "-", False)
    assert gate.file_condition(contender())[2:] == ("missing", "-", "-", False)


def test_the_verdict_is_a_table_for_terminals_and_for_markdown():
    rows = [Condition("size", "<= 1", "0.5", passed=True), Condition("accuracy", ">= 0.9", "0.8", "0.7", "x", False)]
    head, first, second = gate.as_text(rows).splitlines()
    assert head.split() == ["condition", "required", "candidate", "champion", "interval", "passed"]
    assert first.split() == ["size", "<=", "1", "0.5", "-", "-", "yes"]
    assert second.split() == ["accuracy", ">=", "0.9", "0.8", "0.7", "x", "NO"]
    text = gate.as_markdown(rows)
    assert "| size | <= 1 | 0.5 | - | - | yes |" in text and "| accuracy | >= 0.9 | 0.8 | 0.7 | x | **no** |" in text
    whole, brief = (gate.verdict_as_markdown("title", rows, is_whole) for is_whole in (True, False))
    assert whole == f"title\n\n{text}"
    assert (
        "accuracy" in brief
        and "size" not in brief
        and brief.endswith("1 other conditions passed; the run has all of them.")
    )


@pytest.mark.parametrize(
    ("digests", "same"),
    [
        (["abcdef", "abc", "abcd"], True),
        (["abcdef", "abd"], False),
        (["abcdef", "unknown"], False),
        (["unknown", "unknown"], False),
        (["abcdef"], True),
    ],
)
def test_digests_are_compared_as_far_as_both_are_known(digests, same):
    assert same_images(digests) == same


def test_current_splits_are_those_of_meta_json_and_of_the_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data()
    folder = Path("data/prepared/shapes")
    found = current_splits("shapes")
    assert found == {split: digest(load_split(folder / split)) for split in ("val", "test")}
    for split in ("test", "val"):
        write_json(folder / "meta.json", {"splits": found | {split: "0" * 64}})
        with pytest.raises(ConvzooError, match=f"shapes/{split}: holds other images or labels than meta.json"):
            current_splits("shapes")
    (folder / "meta.json").unlink()
    with pytest.raises(ConvzooError, match=r"meta\.json: has no digest of val"):
        current_splits("shapes")


def test_looks_are_those_of_this_network_at_these_test_images(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "project_root", lambda: tmp_path)
    assert ledger.read_ledger() == [] and looks_at_test("net", "aa") == 0
    looked = {"network": "net", "test_images": "aa", "looked_at_test": True}
    others = [{"network": "other"}, {"test_images": "bb"}, {"looked_at_test": False}]
    for change in ({}, *others, {}):
        ledger.append(looked | change)
    ledger.append({"network": "net"})  # a rollback
    assert looks_at_test("net", "aa") == 2 and looks_at_test("other", "aa") == 1
    assert ledger.read_ledger() == [looked, *(looked | change for change in others), looked, {"network": "net"}]


def test_a_line_of_the_ledger_has_time_user_and_commit(monkeypatch):
    monkeypatch.setattr(ledger.commits, "head", lambda: "c0ffee")
    monkeypatch.setattr(ledger.commits, "git", lambda *command: {("config", "user.name"): "Ada"}[command])
    line = ledger.new_line({"what": "promoted"})
    assert list(line) == ["when", "who", "what", "commit"]
    assert (line["who"], line["what"], line["commit"]) == ("Ada", "promoted", "c0ffee")
    moment = ledger.datetime.datetime.strptime(line["when"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=ledger.datetime.UTC)
    assert abs(ledger.datetime.datetime.now(ledger.datetime.UTC) - moment).total_seconds() < 5
    monkeypatch.setattr(ledger.commits, "git", lambda *command: "")
    monkeypatch.setattr(ledger.getpass, "getuser", lambda: "ada")
    assert ledger.new_line({})["who"] == "ada"
    monkeypatch.setattr(ledger.getpass, "getuser", lambda: {}["nobody"])
    assert ledger.new_line({})["who"] == "unknown"


def test_the_latency_of_a_file_is_the_median_in_milliseconds_after_a_warm_up(monkeypatch):
    clock, calls = [0.0], []

    def model(one: np.ndarray) -> None:
        calls.append(one)
        clock[0] += 5.0 if len(calls) <= shipping.WARM_UP else 0.002 * (1 + len(calls) % 3)

    monkeypatch.setattr(shipping.time, "perf_counter", lambda: clock[0])
    assert shipping.latency(model, "one") == pytest.approx(4)
    assert calls == ["one"] * (shipping.WARM_UP + shipping.TIMED)
