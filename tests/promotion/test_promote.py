"""The gate on real registered models, made small: who becomes the champion, who does not, and what is kept of it."""

from pathlib import Path

import numpy as np
import pytest
from helpers.promotions import (
    IMAGES,
    aliases,
    champion_and,
    failed,
    forget_splits,
    stored_file,
    version,
    write_data,
    write_params,
)

from convzoo.errors import ConvzooError, SettingsError
from convzoo.files import read_json, write_json
from convzoo.promotion import gate
from convzoo.promotion.ledger import read_ledger
from convzoo.promotion.promote import promote
from convzoo.tracking import store


def test_the_first_version_needs_the_floors_alone_and_leaves_its_verdict_everywhere(network):
    number = version(network, "good")
    outcome = promote(network)
    assert outcome.done and not failed(outcome)
    assert aliases(network) == {"candidate": 1, "champion": 1}
    rows = {row.condition: row for row in outcome.conditions}
    assert rows["val accuracy"].candidate == rows["test accuracy"].candidate == "90.00 %"
    assert {row.champion for row in outcome.conditions} == {gate.NONE}

    client = store.open_store()
    found = client.get_model_version(network, str(number))
    assert found.tags["convzoo.promotion.verdict"] == "promoted"
    assert "## Promotion" in found.description and "| val accuracy | >= 85 % | 90.00 % |" in found.description
    assert len(client.list_artifacts(found.run_id, "promotion")) == 2
    (line,) = read_ledger()
    assert line["who"] and line["when"].endswith("Z")
    assert (line["what"], line["version"], line["champion_before"]) == ("promoted", 1, None)
    assert line["looked_at_test"] and line["looks_at_test"] == 1
    assert len(line["model_sha256"]) == len(line["test_images"]) == len(line["val_images"]) == 64


def test_a_network_without_a_gate_is_named_with_a_block_to_write_it_after(network):
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace(f"promotion:\n  {network}:", "promotion:\n  other:"))
    with pytest.raises(SettingsError, match=rf"promotion\.{network}: is missing, .*; write one like promotion\.other$"):
        promote(network)
    others = Path("params.yaml").read_text().replace("networks:\n", "networks:\n  other: {family: classifier}\n")
    Path("params.yaml").write_text(others)
    with pytest.raises(SettingsError, match=r"; copy promotion\.other and rename it$"):
        promote(network)


@pytest.mark.parametrize(
    ("kind", "what", "condition"),
    [
        ("same", "refused", "val accuracy: gain over champion"),
        ("noise", "refused", "val accuracy: gain over champion"),
        ("bad", "refused", "val accuracy: gain over champion"),
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
    assert row.interval.startswith("+0.00 pp (-0.67 pp to +0.67 pp)")


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


def test_other_val_images_are_refused_too(network):
    champion_and(network, "good")
    write_data(val_seed=5)
    version(network, "best", seed=1)
    assert failed(promote(network)) == ["same val images"]


@pytest.mark.parametrize(
    ("changed", "conditions"), [({}, []), ({"seed": 5}, ["same test images"]), ({"val_seed": 5}, ["same val images"])]
)
def test_a_champion_from_before_digests_were_recorded_is_compared_by_its_identity_and_its_run(
    network, changed, conditions
):
    version(network, "good")
    forget_splits(network, 1)
    assert promote(network).done
    write_data(**changed)
    version(network, "best", seed=1)
    assert failed(promote(network)) == conditions


def test_a_champion_whose_test_images_are_unknown_is_refused(network):
    version(network, "good", with_digests=False)
    write_data()
    assert failed(promote(network)) == ["same test images"]
    assert promote(network, force=True, reason="trained before meta.json had digests").done
    version(network, "best", seed=1)
    assert failed(promote(network)) == ["same test images"]


@pytest.mark.parametrize("split", ["val", "test"])
def test_images_that_meta_json_does_not_describe_are_named(network, split):
    version(network, "good")
    np.save(f"data/prepared/shapes/{split}/labels.npy", np.zeros(IMAGES, np.int64))
    with pytest.raises(
        ConvzooError, match=rf"data/prepared/shapes/{split}: holds other images .* expected the same; run: dvc checkout"
    ):
        promote(network)


def test_data_that_were_prepared_without_digests_are_named(network):
    version(network, "good", with_digests=False)
    with pytest.raises(
        ConvzooError, match=r"meta\.json: has no digest of val, expected .* run: convzoo repro validate"
    ):
        promote(network)


def test_failed_data_checks_are_refused(network):
    version(network, "good")
    file = Path("data/validated/shapes.json")
    write_json(file, read_json(file) | {"passed": False})
    assert failed(promote(network)) == ["data checks of shapes"]


def test_a_model_of_other_checked_data_is_refused(network):
    version(network, "good", val="9" * 64)
    assert failed(promote(network)) == ["data checks of shapes", "same val images", "same test images"]


def test_failed_parity_is_refused(network):
    version(network, "good", parity=0.5)
    outcome = promote(network)
    assert failed(outcome) == ["same outputs as the PyTorch weights"]
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
