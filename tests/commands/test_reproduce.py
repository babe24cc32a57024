"""`convzoo trace` and `convzoo reproduce`, as a user runs them and on differences made by hand."""

import json
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from helpers.onnx_files import save_linear_classifier
from helpers.project import convzoo, python

from convzoo.commands import reproduce as reproduction
from convzoo.errors import ConvzooError
from convzoo.files import sha256_of, write_json
from convzoo.portable import processor

NETWORK = "mnist-classifier"


def test_trace_shows_the_whole_lineage(rebuilt):
    lineage = json.loads(convzoo(rebuilt.folder, "trace", NETWORK, "--json"))
    weights = rebuilt.folder / "models" / NETWORK / "weights.safetensors"
    assert lineage["version"]["weights sha256"] == sha256_of(weights)
    assert {f"train@{NETWORK}", "prepare@mnist", "download@mnist", "validate"} <= lineage["stages"].keys()
    assert not any(name.startswith("train@cifar") for name in lineage["stages"])
    assert lineage["data"]["source"]["files"]
    assert lineage["code"]["uncommitted changes"] == "params.yaml", "the profile was chosen after the commit"
    assert len(lineage["code"]["snapshot of the changes"]) == 40
    assert lineage["code"]["modules"]["src/convzoo/families/classifier/train.py"]
    assert lineage["package versions"]["torch"]
    assert lineage["run"]["started"].endswith("UTC")


def test_a_training_whose_changes_are_lost_cannot_be_made_again(clone):
    for ref in (clone / ".git/refs/convzoo").iterdir():
        ref.unlink()
    told = convzoo(clone, "reproduce", NETWORK, expected=1)
    assert "with changes (params.yaml), and the snapshot refs/convzoo/" in told
    assert "fetch it from the clone that trained" in told


def test_code_that_git_does_not_track_stops_a_training(clone):
    (clone / "src/convzoo/mine.py").write_text("RATE = 1\n")
    told = python(clone, "pipeline/train.py", NETWORK, expected=1, CONVZOO_TRACKING="off")
    assert "git does not track src/convzoo/mine.py" in told and "Traceback" not in told


@pytest.fixture
def made(tmp_path):
    """A registered file and what was made again, with one weight that differs."""
    folder = tmp_path / "made"
    weights = np.random.default_rng(0).normal(size=(16, 3))
    save_linear_classifier(tmp_path / "registered.onnx", weights, (4, 4, 1))
    weights[3, 1] += 0.25
    folder.mkdir()
    save_linear_classifier(folder / "model.onnx", weights, (4, 4, 1))
    (folder / "weights.safetensors").write_bytes(b"now")
    write_json(folder / "evaluation.json", {"test_accuracy": 0.5, "test_images": 8})
    write_json(folder / "fingerprint.json", {"fingerprint": "2", "versions": {"torch": "2.8"}, "params": {"seed": 0}})
    return folder


def test_a_difference_is_told_by_tensors_metrics_and_what_was_otherwise(made, tmp_path):
    identity = {"fingerprint": "1", "versions": {"torch": "2.7"}, "params": {"seed": 0}}
    lineage = {
        "model_sha256": sha256_of(tmp_path / "registered.onnx"),
        "weights_sha256": "0" * 64,
        "metrics": {"test_accuracy": 0.75, "test_images": 8},
        "identity": identity,
    }
    verdict = reproduction._compare(lineage, tmp_path / "registered.onnx", made)
    assert not verdict.identical
    told = "\n".join(verdict.lines)
    assert "metrics: 1 of 2 DIFFERENT\n  test_accuracy: registered 0.75, now 0.5" in told
    assert "tensors of model.onnx: 1 of" in told and "up to 0.25 apart" in told
    assert "what else differs:\n  versions.torch: registered '2.7', now '2.8'" in told
    assert "fingerprint:" not in told


def test_an_older_commit_has_all_its_results_in_metrics_json(made):
    (made / "evaluation.json").rename(made / "metrics.json")
    metrics = {"test_accuracy": 0.5, "test_images": 8}
    lineage = {"model_sha256": "1", "weights_sha256": None, "metrics": metrics, "identity": {}}
    assert "metrics: identical" in reproduction._compare(lineage, None, made).lines


class Tags(NamedTuple):
    """A registered version, as far as the comparison by intervals reads it."""

    lineage: dict
    run: SimpleNamespace


def registered_on(processor: str, portable: bool = False) -> Tags:
    metrics = {"test_accuracy": 0.75, "test_accuracy_low": 0.7, "test_accuracy_high": 0.8, "test_loss": 0.3}
    lineage = {"metrics": metrics, "identity": {"compute": {"portable": portable}}}
    return Tags(lineage, SimpleNamespace(data=SimpleNamespace(tags={"convzoo.processor": processor})))


def test_on_another_processor_metrics_are_compared_by_their_intervals():
    different = reproduction.Verdict(False, ["weights.safetensors: DIFFERENT"])
    version = registered_on("Another Xeon")
    verdict = reproduction._on_this_processor(different, version, {"test_accuracy": 0.72, "test_loss": 0.9})
    assert verdict.within and not verdict.identical
    assert verdict.text == "other bits, as expected of another processor; the metrics are within their intervals"
    assert "trained on Another Xeon" in verdict.lines[1] and "compute.portable was not true" in verdict.lines[1]
    assert verdict.lines[2:] == ["  test_accuracy: registered 0.75, now 0.72, within 0.7 to 0.8"]
    verdict = reproduction._on_this_processor(different, version, {"test_accuracy": 0.69})
    assert not verdict.within and verdict.text == "DIFFERENT" and "OUTSIDE 0.7 to 0.8" in verdict.lines[2]


def test_on_the_same_processor_or_with_portable_results_only_the_same_bytes_will_do():
    different = reproduction.Verdict(False, [])
    for version in (registered_on(processor()), registered_on("Another Xeon", portable=True), registered_on(None)):
        assert reproduction._on_this_processor(different, version, {"test_accuracy": 0.75}) is different


def test_a_training_that_was_continued_from_another_one_cannot_be_made_again(monkeypatch):
    lineage = {"identity": {"parent": {"fingerprint": "ab" * 32}}}
    version = SimpleNamespace(name="net@v2", lineage=lineage)
    monkeypatch.setattr(reproduction, "find_version", lambda name: version)
    with pytest.raises(ConvzooError, match="net@v2: was continued from a checkpoint of the training abababababababab"):
        reproduction.reproduce("net@v2")


def test_a_file_that_the_registry_lost_is_said(made):
    lineage = {"model_sha256": "1", "weights_sha256": None, "metrics": {}, "identity": {}}
    verdict = reproduction._compare(lineage, None, made)
    assert "tensors: not compared, because the store has lost the registered model" in verdict.lines
    assert any("registered unknown" in line for line in verdict.lines)
