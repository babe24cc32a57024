"""What promote and rollback do with aliases, ledger and verdict, on a registry in memory and scores made by hand."""

from pathlib import Path
from typing import Any

import pytest
from helpers.memory_registry import NETWORK, Registry
from helpers.promotions import write_params

from convzoo.errors import ConvzooError
from convzoo.files import read_json, write_json
from convzoo.promotion import gate, promote
from convzoo.promotion.ledger import read_ledger
from convzoo.promotion.splits import current_splits


def champion_and(registry: Registry, scores: str, **changes: Any) -> int:
    registry.add("0.9 0.9")
    assert promote.promote(NETWORK).done
    return registry.add(scores, **changes)


@pytest.mark.parametrize(
    ("scores", "what", "failed"),
    [
        ("0.95 0.95", "promoted", []),
        (
            "0.91 0.99",
            "refused",
            ["val accuracy: gain over champion"],
        ),  # the interval on val reaches below 0
        ("0.95 0.9", "refused", ["test accuracy: gain over champion"]),
        ("0.95 0.8", "refused", ["test accuracy", "test accuracy: gain over champion"]),
        ("0.8 0.99", "refused", ["val accuracy", "val accuracy: gain over champion"]),
    ],
)
def test_a_candidate_is_compared_on_val_and_then_on_test(registry, scores, what, failed):
    champion_and(registry, scores)
    outcome = promote.promote(NETWORK)
    looked, done, splits = (
        failed[:1] == [] or failed[0].startswith("test"),
        what == "promoted",
        current_splits("shapes"),
    )
    assert (outcome.done, outcome.fits) == (done, done)
    assert [row.condition for row in outcome.conditions if not row.passed] == failed
    names = ["file in the registry", "same outputs as the PyTorch weights", "data checks of shapes", "same val images"]
    names += [
        "same test images",
        "val accuracy",
        "val class_recall",
        "val calibration_error",
        "val accuracy: gain over champion",
    ]
    names += [
        "file size",
        "test accuracy",
        "test class_recall",
        "test calibration_error",
        "test accuracy: gain over champion",
    ]
    assert [row.condition for row in outcome.conditions] == (names if looked else names[:10])
    aliases = {"candidate": "2", "champion": "2", "previous": "1"} if done else {"candidate": "2", "champion": "1"}
    assert registry.aliases == aliases
    reason = f"passed {len(outcome.conditions)} conditions" if done else f"failed: {', '.join(failed)}"
    line = {
        "when": "2026-01-02T03:04:05Z",
        "who": "Ada",
        "what": what,
        "network": NETWORK,
        "version": 2,
        "champion_before": 1,
        "why": reason,
        "failed": failed,
        "rule": "better",
        "confidence": 0.95,
        "model_sha256": registry.versions["2"].lineage["model_sha256"],
        "fingerprint": "fingerprint 2",
        "champion_sha256": "sha256 of 1",
        "val_images": splits["val"],
        "test_images": splits["test"],
        "looked_at_test": looked,
        "looks_at_test": 1 + looked,
        "commit": "c0ffee",
    }
    assert read_ledger()[-1] == line
    looks = f"these test images have been used by {1 + looked} promotion{'s' if looked else ''} so far"
    assert outcome.messages == ["champion: version 1", f"{NETWORK}: version 2 {what} ({reason}); {looks}"]

    version, tags, whole, brief, details = registry.verdicts[-1]
    gain = float(scores.split()[0]) - 0.9
    assert version is registry.versions["2"]
    found = {key.removeprefix("val_gain_"): float(tags.pop(key)) for key in list(tags) if "gain" in key}
    assert found == pytest.approx({"estimate": gain, "low": gain - 0.02, "high": gain + 0.02})
    assert tags == {"verdict": what, "when": line["when"], "who": "Ada", "why": reason}
    assert details.items() >= line.items()
    assert details["conditions"] == [row._asdict() for row in outcome.conditions]
    assert list(details["measured"]) == ["val", "test"][: 1 + looked]
    val = details["measured"]["val"]
    assert (val["candidate"]["accuracy"], val["champion"]["accuracy"]) == (float(scores.split()[0]), 0.9)
    title = f"**{what}** {line['when']} by Ada: {reason}"
    assert whole == f"{title}\n\n{gate.as_markdown(outcome.conditions)}" and brief.startswith(f"{title}\n\n|")
    assert "val accuracy: gain over champion" in brief and "same val images" not in brief
    assert registry.locks == ["promote"] * 2


def test_the_first_champion_needs_no_comparison_and_the_same_one_changes_nothing(registry):
    registry.add("0.9 0.9")
    outcome = promote.promote(NETWORK)
    assert outcome.done and registry.aliases == {"candidate": "1", "champion": "1"}
    assert outcome.messages[0] == "champion: none yet"
    (line,) = read_ledger()
    assert (line["champion_before"], line["champion_sha256"], line["looks_at_test"]) == (None, None, 1)
    assert registry.verdicts[0][1].keys() == {"verdict", "when", "who", "why"}
    again = promote.promote(NETWORK)
    assert again == ([], [f"{NETWORK}: version 1 is already the champion; nothing changed"], True, True)
    assert read_ledger() == [line] and len(registry.verdicts) == 1


@pytest.mark.parametrize(("scores", "fits"), [("0.95 0.1", True), ("0.9 0.99", False)])
def test_a_dry_run_stops_before_test_and_leaves_no_trace(registry, scores, fits):
    number = champion_and(registry, scores)
    outcome = promote.promote(NETWORK, number, dry_run=True)
    assert (outcome.done, outcome.fits) == (False, fits)
    assert outcome.conditions[-1].condition == "file size"
    verdict = "passes so far; test would come next" if fits else "would be refused: val accuracy: gain over champion"
    assert outcome.messages == ["champion: version 1", f"{NETWORK}: version 2 {verdict} (dry run, nothing changed)"]
    assert len(read_ledger()) == len(registry.verdicts) == 1
    assert registry.aliases == {"candidate": "2", "champion": "1"}


def test_force_overrules_conditions_and_keeps_the_reason(registry):
    champion_and(registry, "0.8 0.8")
    write_params(
        NETWORK,
        rule="not_worse_by",
        not_worse_by=0.03,
        ceilings={**dict.fromkeys(("calibration_error",), 0.9), "latency": None, "file_size": 1},
    )
    outcome = promote.promote(NETWORK, force=True, reason="x" * 6000)
    assert (outcome.done, outcome.fits) == (True, False) and registry.aliases["champion"] == "2"
    line = read_ledger()[-1]
    assert (line["what"], line["why"], line["rule"]) == ("forced", "x" * 6000, "not_worse_by 0.03")
    assert line["failed"] == ["val accuracy", "val accuracy: gain over champion"]
    assert registry.verdicts[-1][1]["why"] == "x" * 5000
    registry.add("0.95 0.95")
    assert promote.promote(NETWORK, force=True, reason="not needed").done
    assert (read_ledger()[-1]["what"], read_ledger()[-1]["why"]) == ("promoted", "not needed")


@pytest.mark.parametrize("force", [False, True])
def test_another_file_is_never_promoted_and_nothing_is_measured(registry, force):
    champion_and(registry, "0.95 0.95")
    (registry.folder / "2.onnx").write_text("1.0 1.0")
    outcome = promote.promote(NETWORK, force=force, reason="r" if force else None)
    assert not outcome.done and [row.condition for row in outcome.conditions] == ["file in the registry"]
    line = read_ledger()[-1]
    assert (line["what"], line["val_images"], line["test_images"], line["looked_at_test"]) == (
        "refused",
        None,
        None,
        False,
    )
    assert line["looks_at_test"] == 0 and registry.aliases["champion"] == "1"


def test_a_champion_whose_file_or_lineage_is_lost_stops_the_gate(registry):
    champion_and(registry, "0.95 0.95")
    (registry.folder / "1.onnx").unlink()
    *_, row = promote.promote(NETWORK).conditions
    sha256 = registry.versions["1"].lineage["model_sha256"][:12]
    assert row == ("file of the champion", f"sha256 {sha256}", "-", "missing", "-", False)
    registry.versions["1"].fingerprint = "broken"
    outcome = promote.promote(NETWORK)
    assert outcome.conditions[-1] == ("lineage of the champion", "recorded", "-", "missing", "-", False)
    text = f"{NETWORK}@v1: has no lineage; or replace it without a comparison: --force --reason TEXT"
    assert outcome.messages[1] == text and not outcome.done
    assert promote.promote(NETWORK, force=True, reason="lost").done


def test_conditions_before_the_measurement_stop_the_gate(registry):
    champion_and(registry, "0.95 0.95", largest=0.2)
    outcome = promote.promote(NETWORK)
    assert [row.condition for row in outcome.conditions if not row.passed] == ["same outputs as the PyTorch weights"]
    assert len(outcome.conditions) == 5
    registry.add("0.95 0.95")
    file = Path("data/validated/shapes.json")
    write_json(file, read_json(file) | {"passed": False})
    outcome = promote.promote(NETWORK)
    assert [row.condition for row in outcome.conditions if not row.passed] == ["data checks of shapes"]
    file.unlink()
    with pytest.raises(ConvzooError, match=r"data/validated/shapes\.json: is missing, expected the verdict"):
        promote.promote(NETWORK)


def test_a_champion_that_changed_meanwhile_stops_the_promotion(registry, monkeypatch):
    champion_and(registry, "0.95 0.95")
    before = read_ledger()
    monkeypatch.setattr(promote.gate, "cost_conditions", lambda *_: registry.aliases.update(champion="7") or [])
    with pytest.raises(ConvzooError, match="champion became version 7 meanwhile, expected 1 as before"):
        promote.promote(NETWORK)
    assert registry.aliases["champion"] == "7" and read_ledger() == before and len(registry.verdicts) == 1


@pytest.mark.parametrize("previous", [None, "1"])
def test_aliases_come_back_if_the_ledger_cannot_be_written(registry, monkeypatch, previous):
    champion_and(registry, "0.95 0.95")
    registry.aliases |= {"previous": previous} if previous else {}
    before = dict(registry.aliases)

    def refuse(line: dict) -> None:
        raise ConvzooError("the disk is full")

    monkeypatch.setattr(promote.ledger, "append", refuse)
    with pytest.raises(ConvzooError, match="the disk is full"):
        promote.promote(NETWORK)
    assert registry.aliases == before and len(registry.verdicts) == 1


def test_rollback_announces_what_changes_and_a_dry_run_changes_nothing(registry, capsys):
    champion_and(registry, "0.95 0.95")
    assert promote.promote(NETWORK).done
    before, lines = dict(registry.aliases), read_ledger()
    assert promote.rollback(NETWORK, dry_run=True) == f"{NETWORK}: dry run, nothing changed"
    assert (registry.aliases, read_ledger()) == (before, lines)
    promoted = [f"(promoted 2026-01-02: passed {len_} conditions)" for len_ in (14, 12)]
    assert capsys.readouterr().out == (
        f"{NETWORK}: champion: version 2 {promoted[0]} -> version 1 {promoted[1]}; previous: version 1 -> version 2\n"
    )


def test_a_second_rollback_does_not_bring_back_a_forced_version(registry):
    champion_and(registry, "0.5 0.5")
    assert promote.promote(NETWORK, force=True, reason="a try").done
    promote.rollback(NETWORK)
    aliases = dict(registry.aliases)
    with pytest.raises(ConvzooError, match=r"version 2 was forced past the gate and then rolled back, .* --version 2"):
        promote.rollback(NETWORK)
    assert registry.aliases == aliases and aliases["champion"] == "1"
    assert promote.promote(NETWORK, 2, force=True, reason="again").done and registry.aliases["champion"] == "2"
    promote.rollback(NETWORK)
    assert registry.aliases["champion"] == "1"


def test_a_rollback_to_a_forced_champion_that_was_replaced_is_possible(registry):
    registry.add("0.5 0.5")
    assert promote.promote(NETWORK, force=True, reason="the first one").done
    registry.add("0.95 0.95")
    assert promote.promote(NETWORK).done
    promote.rollback(NETWORK)
    assert registry.aliases["champion"] == "1"


def test_rollback_swaps_champion_and_previous(registry):
    with pytest.raises(ConvzooError, match=f"{NETWORK}: nothing to roll back: it has no champion yet; .*"):
        promote.rollback(NETWORK)
    champion_and(registry, "0.95 0.95")
    with pytest.raises(ConvzooError, match=r"nothing to roll back to: it has had only one champion, version 1; to "):
        promote.rollback(NETWORK)
    assert promote.promote(NETWORK).done
    assert promote.rollback(NETWORK, "worse") == f"{NETWORK}: version 1 is the champion again, version 2 previous"
    assert registry.aliases == {"candidate": "2", "champion": "1", "previous": "2"}
    line = read_ledger()[-1]
    expected = {"what": "rolled back", "version": 1, "champion_before": 2, "why": "worse", "val_images": None}
    expected |= {"test_images": None, "looked_at_test": False, "looks_at_test": 0, "champion_sha256": "sha256 of 2"}
    assert line.items() >= (expected | {"fingerprint": "fingerprint 1", "network": NETWORK}).items()
    version, tags, whole, brief, details = registry.verdicts[-1]
    assert version is registry.versions["1"] and tags["verdict"] == "rolled back"
    assert whole == brief == f"**rolled back** {line['when']} by Ada: worse"
    assert details["conditions"] == [] and details["measured"] == {}
    assert registry.locks == ["promote"] * 3
    promote.rollback(NETWORK)
    assert read_ledger()[-1]["why"] == "no reason given" and registry.aliases["champion"] == "2"
    (registry.folder / "1.onnx").write_text("else")
    with pytest.raises(ConvzooError, match=r"file of version 1 has sha256 [0-9a-f]{12}, expected sha256 [0-9a-f]{12};"):
        promote.rollback(NETWORK)
    assert registry.aliases["champion"] == "2"


def test_a_champion_set_by_hand_is_named_as_such(registry):
    champion_and(registry, "0.95 0.95")
    registry.by_hand.add("champion")
    assert promote.promote(NETWORK, dry_run=True).messages[0] == "champion: version 1 (set by hand)"
