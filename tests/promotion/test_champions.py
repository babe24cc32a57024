"""What becomes of aliases and ledger: dry runs, the way back, two at once, stores and disks that fail, and the list."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project import environment
from helpers.promotions import aliases, champion_and, stored_file, version

from convzoo.commands.compare import as_text, compare
from convzoo.commands.trace import trace
from convzoo.errors import ConvzooError, DiskFullError
from convzoo.promotion import gate, ledger
from convzoo.promotion.ledger import read_ledger
from convzoo.promotion.promote import promote, rollback
from convzoo.tracking import store
from convzoo.tracking.listing import listing
from convzoo.tracking.versions import find_model


def test_who_is_the_champion_already_changes_nothing(network):
    version(network, "good")
    promote(network)
    before = Path("promotions.jsonl").read_bytes()
    outcome = promote(network)
    assert outcome.done and "is already the champion" in outcome.messages[0]
    assert Path("promotions.jsonl").read_bytes() == before


def test_an_applied_experiment_that_is_not_the_candidate_is_named(network, monkeypatch):
    version(network, "good")
    promote(network)
    monkeypatch.setenv("DVC_EXP_NAME", "wet-sock")
    version(network, "best")
    first, second = promote(network).messages
    assert first.startswith(f"models/{network} holds version 2, which is not the candidate; ")
    assert first.endswith(f"run: convzoo sync {network}") and "is already the champion" in second


def test_a_dry_run_looks_at_val_alone_and_changes_nothing(network):
    champion_and(network, "best")
    before = Path("promotions.jsonl").read_bytes(), aliases(network)
    tags = store.open_store().get_model_version(network, "2").tags
    outcome = promote(network, dry_run=True)
    assert not outcome.done and outcome.fits
    assert not any(row.condition.startswith("test") for row in outcome.conditions)
    assert (Path("promotions.jsonl").read_bytes(), aliases(network)) == before
    assert store.open_store().get_model_version(network, "2").tags == tags


def test_rollback_restores_the_last_champion_and_can_be_taken_back(network):
    champion_and(network, "best")
    assert promote(network).done
    assert rollback(network, "it barks") == f"{network}: version 1 is the champion again, version 2 previous"
    assert aliases(network) == {"candidate": 2, "champion": 1, "previous": 2}
    line = read_ledger()[-1]
    assert (line["what"], line["version"], line["champion_before"], line["why"]) == ("rolled back", 1, 2, "it barks")
    rollback(network)
    assert aliases(network) == {"candidate": 2, "champion": 2, "previous": 1}
    assert find_model(f"{network}@previous").title.endswith("version 1")
    assert trace(f"{network}@previous")["version"]["aliases"] == ["previous"]


def test_rollback_without_a_previous_one_says_so(network):
    version(network, "good")
    promote(network)
    with pytest.raises(ConvzooError, match="nothing to roll back to: it has had only one champion, version 1; "):
        rollback(network)
    assert aliases(network)["champion"] == 1


def test_rollback_to_a_tampered_file_is_refused(network):
    champion_and(network, "best")
    promote(network)
    stored_file(network, 1).write_bytes(b"else")
    with pytest.raises(ConvzooError, match="registry's file of version 1 has sha256"):
        rollback(network)
    assert aliases(network)["champion"] == 2


def test_unknown_networks_and_versions_are_named(network):
    version(network, "good")
    with pytest.raises(ConvzooError, match=f"network 'unheard-of': not in params.yaml, expected one of: {network}"):
        promote("unheard-of")
    with pytest.raises(
        ConvzooError, match=rf"{network}@v7: {network} has no version 7; choose one of its versions: v1 "
    ):
        promote(network, 7)


def test_a_network_without_a_block_says_what_to_write(network):
    Path("params.yaml").write_text(
        Path("params.yaml").read_text().replace(f"promotion:\n  {network}:", "promotion:\n  other:")
    )
    with pytest.raises(ConvzooError, match=f"promotion.{network}: is missing, .* like promotion.other"):
        promote(network)


def test_of_two_at_once_one_wins_and_the_other_is_told(network, monkeypatch):
    number = champion_and(network, "best")
    other = version(network, "best", seed=1)
    evaluate_split = gate.evaluate_split

    def slowly(name: str, *arguments: object) -> gate.SplitResult:
        monkeypatch.setattr(gate, "evaluate_split", evaluate_split)
        assert promote(network, other).done  # while the first one measures
        return evaluate_split(name, *arguments)

    monkeypatch.setattr(gate, "evaluate_split", slowly)
    with pytest.raises(ConvzooError, match=f"champion became version {other} meanwhile, expected 1 as before"):
        promote(network, number)
    assert aliases(network)["champion"] == other and aliases(network)["previous"] == 1
    assert [line["version"] for line in read_ledger()] == [1, other]


def test_two_processes_at_once_leave_one_champion_and_a_whole_ledger(network, project):
    champion_and(network, "best")
    other = version(network, "best", seed=1)
    source = Path(store.__file__).parents[2]
    command = [sys.executable, "-m", "convzoo.cli", "promote", network, "--version"]
    both = [
        subprocess.Popen(
            [*command, number],
            env=environment(PYTHONPATH=str(source)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in ("2", str(other))
    ]
    told = [process.communicate(timeout=120)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], told
    winner = (2, other)[[process.returncode for process in both].index(0)]
    assert aliases(network)["champion"] == winner
    assert [line["version"] for line in read_ledger() if line["what"] == "promoted"] == [1, winner]
    (lost,) = [text for text, process in zip(told, both, strict=True) if process.returncode]
    assert "Traceback" not in lost and ("meanwhile" in lost or "refused" in lost)


def test_an_alias_set_by_hand_shows_as_such(network):
    champion_and(network, "best")
    client = store.open_store()
    client.set_registered_model_alias(network, "champion", "2")
    client.set_registered_model_alias(network, "staging", "1")
    rows = {row["version"]: row["aliases"] for row in listing(network)}
    assert rows == {2: ["candidate", "champion (set by hand)"], 1: ["staging (set by hand)"]}
    assert trace(f"{network}@champion")["version"]["aliases"] == ["candidate", "champion (set by hand)"]
    assert promote(network, 1).messages[0] == "champion: version 2 (set by hand)"


def test_a_ledger_that_cannot_be_written_leaves_the_aliases_as_they_were(network, monkeypatch):
    champion_and(network, "best")
    before = aliases(network)

    def full(line: dict) -> None:
        raise DiskFullError(Path(ledger.LEDGER))

    monkeypatch.setattr(ledger, "append", full)
    with pytest.raises(DiskFullError):
        promote(network)
    assert aliases(network) == before
    assert not any("promotion" in tag for tag in store.open_store().get_model_version(network, "2").tags)


def test_a_ledger_broken_by_a_merge_is_named_before_the_work(network):
    version(network, "good")
    Path(ledger.LEDGER).write_text("<<<<<<< HEAD\n")
    with pytest.raises(ConvzooError, match=r"promotions\.jsonl:1: is not JSON .* git checkout"):
        promote(network)
    assert "champion" not in aliases(network)


def test_a_store_that_is_down_is_an_error_with_what_to_do(network, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with pytest.raises(ConvzooError, match="@candidate: "):
        promote(network)


def test_two_versions_and_two_runs_are_compared_side_by_side(network):
    champion_and(network, "best")
    told = compare(f"{network}@champion", f"{network}@v2")
    assert told["names"] == [f"{network}@v1", f"{network}@v2"]
    assert told["params that differ"] == {"network_of": ("good", "best")}
    assert told["metrics"]["test_accuracy"] == ("0.9 (0.88 to 0.92)", "0.975 (0.955 to 0.995)")
    assert told["lineage"]["model sha256"][0] != told["lineage"]["model sha256"][1]
    runs = [told["lineage"]["run"][side] for side in (0, 1)]
    assert compare(*runs)["metrics"] == told["metrics"]
    text = as_text(told)
    assert "* test_accuracy" in text and "network_of" in text
    with pytest.raises(ConvzooError, match="has no version 9"):
        compare(f"{network}@v9", runs[0])
    with pytest.raises(ConvzooError, match=r"0{32}: cannot be looked up"):
        compare("0" * 32, runs[0])


def test_the_list_has_all_versions_with_what_counts(network):
    champion_and(network, "best")
    first, second = listing(network)
    assert (first["version"], first["measure"], first["value"]) == (2, "test_accuracy", 0.975)
    assert (second["aliases"], second["promotion"]) == (["champion"], "promoted")
    assert json.loads(json.dumps(first)) == first
    with pytest.raises(ConvzooError, match=r"unheard-of: no model .* is registered; registered models: "):
        listing("unheard-of")
