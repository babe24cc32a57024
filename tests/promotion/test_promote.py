"""The gate on real registered models, made small: who becomes the champion, who does not, and what is kept of it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from project import environment
from shapes import IMAGES, version, write_data, write_params

from convzoo.compare import as_text, compare
from convzoo.errors import ConvzooError, DiskFullError
from convzoo.files import read_json, write_json
from convzoo.promotion import gate, ledger
from convzoo.promotion import promote as promotion
from convzoo.promotion.ledger import read_ledger
from convzoo.promotion.promote import promote, rollback
from convzoo.trace import trace
from convzoo.tracking import store
from convzoo.tracking.aliases import aliases_of
from convzoo.tracking.listing import listing
from convzoo.tracking.models import find_model


def aliases(network: str) -> dict[str, int]:
    """Where this network's aliases stand."""
    return {alias: int(found.version) for alias, found in aliases_of(store.open_store(), network).items()}


def failed(outcome: promotion.Outcome) -> list[str]:
    return [row.condition for row in outcome.conditions if not row.passed]


def stored_file(network: str, number: int) -> Path:
    client = store.open_store()
    model = client.get_model_version(network, str(number)).source.removeprefix("models:/")
    return Path(
        store.local_file_uri_to_path(client.get_logged_model(model).artifact_location), "extra_files/model.onnx"
    )


def champion_and(network: str, kind: str, **more: object) -> int:
    """A good champion, and a candidate of this kind; its version."""
    version(network, "good")
    assert promote(network).done
    return version(network, kind, **more)


def test_the_first_version_needs_the_floors_alone_and_leaves_its_verdict_everywhere(network):
    number = version(network, "good")
    outcome = promote(network)
    assert outcome.done and not failed(outcome)
    assert aliases(network) == {"candidate": 1, "champion": 1}
    rows = {row.condition: row for row in outcome.conditions}
    assert rows["val accuracy"].candidate == rows["test accuracy"].candidate == "0.9000"
    assert {row.champion for row in outcome.conditions} == {gate.NONE}

    client = store.open_store()
    found = client.get_model_version(network, str(number))
    assert found.tags["convzoo.promotion.verdict"] == "promoted"
    assert "## Promotion" in found.description and "| val accuracy | >= 0.85 | 0.9000 |" in found.description
    assert len(client.list_artifacts(found.run_id, "promotion")) == 2
    (line,) = read_ledger()
    assert line["who"] and line["when"].endswith("Z")
    assert (line["what"], line["version"], line["champion_before"]) == ("promoted", 1, None)
    assert line["looked_at_test"] and line["looks_at_test"] == 1
    assert len(line["model_sha256"]) == len(line["test_images"]) == len(line["val_images"]) == 64


@pytest.mark.parametrize(
    ("kind", "what", "condition"),
    [
        ("same", "refused", "val accuracy: gain"),
        ("noise", "refused", "val accuracy: gain"),
        ("bad", "refused", "val accuracy: gain"),
        ("best", "promoted", None),
    ],
)
def test_better_is_asked_beyond_the_noise_of_the_images(network, kind, what, condition):
    number = champion_and(network, kind)
    outcome = promote(network)
    assert outcome.done == (what == "promoted")
    assert aliases(network)["champion"] == (number if outcome.done else 1)
    assert (condition in failed(outcome)) == (condition is not None)
    line = read_ledger()[-1]
    assert line["what"] == what and line["champion_before"] == 1
    assert line["looked_at_test"] == outcome.done  # who fails on val is not shown test
    assert store.open_store().get_model_version(network, str(number)).tags["convzoo.promotion.verdict"] == what


def test_a_tie_of_different_files_has_the_interval_of_two_equal_shares(network):
    champion_and(network, "same")
    (row,) = [row for row in promote(network).conditions if "gain" in row.condition]
    assert row.interval.startswith("+0.0000 (-0.0067 to +0.0067)")


@pytest.mark.parametrize(("margin", "passes"), [(0.02, True), (0.005, False)])
def test_not_worse_by_forgives_as_much_as_it_says(network, margin, passes):
    write_params(network, rule="not_worse_by", not_worse_by=margin)
    champion_and(network, "noise")
    assert promote(network).done == passes


def test_what_val_promises_and_test_does_not_keep_is_refused(network):
    champion_and(network, "best")
    folder = Path("data/prepared/shapes/test")
    images = np.load(folder / "images.npy")
    images[:80, :, :, :] = np.roll(images[:80].reshape(80, -1), 1, axis=1).reshape(80, 4, 4, 1)  # answers move on
    np.save(folder / "images.npy", images)
    number = version(network, "best", seed=1)
    Path("promotions.jsonl").unlink()
    version(network, "good", seed=2)  # a champion on the same test images
    assert promote(network, 4, force=True, reason="for the test").done
    outcome = promote(network, number)
    assert not outcome.done
    assert any(name.startswith("test") for name in failed(outcome))
    assert read_ledger()[-1]["looked_at_test"]


def test_looks_at_test_are_counted_for_the_same_images(network):
    champion_and(network, "best")
    promote(network)
    assert [line["looks_at_test"] for line in read_ledger()] == [1, 2]
    version(network, "bad")
    promote(network)
    assert read_ledger()[-1]["looks_at_test"] == 2  # val sufficed


def test_a_floor_that_cannot_be_measured_is_not_passed(network):
    write_params(network, floors={"accuracy": None, "class_recall": None, "coarse_accuracy": 0.5})
    version(network, "good")
    outcome = promote(network)
    assert not outcome.done
    (row,) = [row for row in outcome.conditions if not row.passed]
    assert (row.condition, row.candidate) == ("val coarse_accuracy", "not measured")


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({"floors": {"accuracy": 0.95, "class_recall": None, "coarse_accuracy": None}}, "val accuracy"),
        ({"floors": {"accuracy": None, "class_recall": 0.99, "coarse_accuracy": None}}, "val class_recall"),
        ({"ceilings": {"calibration_error": 1e-6, "latency": None, "file_size": None}}, "val calibration_error"),
        ({"ceilings": {"calibration_error": None, "latency": 1e-9, "file_size": None}}, "latency of one input"),
        ({"ceilings": {"calibration_error": None, "latency": None, "file_size": 1e-6}}, "file size"),
    ],
)
def test_each_floor_and_ceiling_is_asked(network, change, condition):
    write_params(network, **change)
    version(network, "good")
    assert failed(promote(network)) == [condition]
    assert "champion" not in aliases(network)


def test_other_test_images_are_refused_before_anything_is_measured(network):
    champion_and(network, "good")
    write_data(seed=5)
    version(network, "best", seed=1)
    outcome = promote(network)
    assert failed(outcome) == ["same test images"]
    assert not any("accuracy" in row.condition for row in outcome.conditions)


def test_more_train_images_are_no_other_test_images(network):
    champion_and(network, "good")
    np.save("data/prepared/shapes/train/images.npy", np.zeros((500, 4, 4, 1), np.uint8))
    version(network, "best")
    assert promote(network).done


def test_a_champion_whose_images_nobody_knows_any_more_is_refused(network):
    champion_and(network, "good")
    np.save("data/prepared/shapes/train/images.npy", np.zeros((500, 4, 4, 1), np.uint8))
    for listed in Path(".dvc/cache").rglob("*.dir"):
        listed.unlink()
    version(network, "best")
    assert failed(promote(network)) == ["same val images", "same test images"]


def test_images_that_dvc_does_not_know_are_named(network):
    version(network, "good")
    np.save("data/prepared/shapes/test/labels.npy", np.zeros(IMAGES, np.int64))
    with pytest.raises(
        ConvzooError, match=r"data/prepared/shapes: holds other files than dvc\.lock says; run: dvc checkout"
    ):
        promote(network)


def test_failed_data_checks_are_refused(network):
    version(network, "good")
    file = Path("data/validated/shapes.json")
    write_json(file, read_json(file) | {"passed": False})
    assert failed(promote(network)) == ["data checks of shapes"]


def test_a_model_of_other_checked_data_is_refused(network):
    version(network, "good", val_seed=9)
    assert failed(promote(network)) == ["data checks of shapes"]


def test_failed_parity_is_refused(network):
    version(network, "good", parity=0.5)
    outcome = promote(network)
    assert failed(outcome) == ["parity with the weights"]
    assert promote(network, force=True, reason="rounded").done
    assert read_ledger()[-1]["what"] == "forced" and read_ledger()[-1]["why"] == "rounded"


@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_a_tampered_file_is_never_promoted(network, harm):
    number = version(network, "good")
    file = stored_file(network, number)
    file.write_bytes(file.read_bytes() + b" ") if harm == "changed" else file.unlink()
    for force in (False, True):
        outcome = promote(network, number, force=force, reason="whatever")
        assert not outcome.done and failed(outcome) == ["file in the registry"]
    assert "champion" not in aliases(network)


def test_a_tampered_champion_is_no_measure(network):
    number = champion_and(network, "best")
    stored_file(network, 1).write_bytes(b"else")
    assert failed(promote(network)) == ["file of the champion"]
    assert promote(network, force=True, reason="the champion's file is broken").done
    assert aliases(network) == {"candidate": number, "champion": number, "previous": 1}


def test_who_is_the_champion_already_changes_nothing(network):
    version(network, "good")
    promote(network)
    before = Path("promotions.jsonl").read_bytes()
    outcome = promote(network)
    assert outcome.done and "is the champion already" in outcome.told[0]
    assert Path("promotions.jsonl").read_bytes() == before


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
    with pytest.raises(ConvzooError, match="no version with the alias previous, expected one, as every promotion"):
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
    with pytest.raises(ConvzooError, match=f"network 'unheard-of': params.yaml has none; expected one of: {network}"):
        promote("unheard-of")
    with pytest.raises(ConvzooError, match=rf"{network}@v7: there is no version 7; registered models: "):
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
    judge = gate.judge

    def slowly(name: str, *arguments: object) -> gate.Judged:
        monkeypatch.setattr(gate, "judge", judge)
        assert promote(network, other).done  # while the first one measures
        return judge(name, *arguments)

    monkeypatch.setattr(gate, "judge", slowly)
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
    assert promote(network, 1).told[0] == "champion: version 2 (set by hand)"


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
    with pytest.raises(ConvzooError, match="there is no version 9"):
        compare(f"{network}@v9", runs[0])
    with pytest.raises(ConvzooError, match=r"0{32}: cannot be looked up"):
        compare("0" * 32, runs[0])


def test_the_list_has_all_versions_with_what_counts(network):
    champion_and(network, "best")
    first, second = listing(network)
    assert (first["version"], first["measure"], first["value"]) == (2, "test_accuracy", 0.975)
    assert (second["aliases"], second["promotion"]) == (["champion"], "promoted")
    assert json.loads(json.dumps(first)) == first
    with pytest.raises(ConvzooError, match="unheard-of: there is no .* registered models: "):
        listing("unheard-of")
