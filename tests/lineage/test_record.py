"""The lineage of a version, as a registration records it and `convzoo trace` shows it."""

from pathlib import Path

import pytest
from helpers.registered import folder_of
from ruamel.yaml import YAML

from convzoo.commands.trace import as_text, trace
from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of
from convzoo.lineage.record import RECORD, ancestors, locked_stages
from convzoo.tracking import store
from convzoo.tracking.registry import register
from convzoo.tracking.versions import find_version

STAGES = {
    "download@shapes": {"cmd": "d", "outs": [{"path": "data/raw/shapes", "md5": "1"}]},
    "prepare@shapes": {
        "cmd": "p",
        "deps": [{"path": "data/raw/shapes"}, {"path": "src/prepare.py"}],
        "outs": [{"path": "data/prepared/shapes/train", "md5": "2"}],
    },
    "prepare@faces": {"cmd": "f", "outs": [{"path": "data/prepared/faces/train", "md5": "3"}]},
    "validate": {"cmd": "v", "deps": [{"path": "data/prepared"}], "outs": [{"path": "data/validated", "md5": "4"}]},
    "train@descended": {
        "cmd": "t",
        "deps": [{"path": "data/validated/shapes.json"}],
        "outs": [{"path": "models/descended/weights.safetensors", "md5": "5"}],
    },
    "train@other": {"cmd": "o", "outs": [{"path": "models/other/weights.safetensors", "md5": "6"}]},
}


def test_the_stages_that_lead_to_a_network_are_found_by_deps_and_outs():
    assert list(ancestors(STAGES, ["train@descended"])) == [
        "download@shapes",
        "prepare@faces",
        "prepare@shapes",
        "train@descended",
        "validate",
    ]
    assert list(ancestors(STAGES, ["prepare@shapes", "no stage"])) == ["download@shapes", "prepare@shapes"]


@pytest.fixture
def locked(project):
    Path("dvc.lock").write_text("")
    with Path("dvc.lock").open("w") as stream:
        YAML(typ="safe").dump({"schema": "2.0", "stages": STAGES}, stream)
    yield
    Path("dvc.lock").unlink()


def test_a_registration_records_the_lineage_and_trace_shows_it(locked, write_network):
    write_network("descended", 31)
    weights = Path("models/descended/weights.safetensors")
    weights.write_bytes(b"weights")
    register("descended")
    told = trace("descended")
    assert told["version"]["weights sha256"] == sha256_of(weights)
    assert told["version"]["model sha256"] == sha256_of(Path("models/descended/model.onnx"))
    assert told["version"]["aliases"] == ["candidate"]
    assert told["run"]["fingerprint"] == read_json(Path("models/descended/fingerprint.json"))["fingerprint"]
    assert told["run"]["started"] == "unknown", "a run filled in from files has no time of its own"
    assert told["stages"]["train@descended"] == {"models/descended/weights.safetensors": "md5 5"}
    assert told["metrics"]["test_accuracy"] == 0.81
    assert told["again"] == "convzoo reproduce descended@candidate"
    text = as_text(told)
    for part in ("fingerprint", "learning_rate", "package versions", "prepare@shapes", "git commit", "unknown"):
        assert part in text


def test_recording_twice_changes_nothing_and_a_new_lineage_is_recorded(locked, write_network):
    write_network("descended", 32)
    register("descended")
    run = find_version("descended").run
    register("descended")
    assert find_version("descended").run.data.tags == run.data.tags
    Path("models/descended/weights.safetensors").write_bytes(b"other weights, same model")
    register("descended")
    assert find_version("descended").lineage["weights_sha256"] == sha256_of(
        Path("models/descended/weights.safetensors")
    )


def test_a_version_without_its_lineage_says_how_to_record_it(write_network):
    write_network("descended", 33)
    register("descended")
    found = find_version("descended")
    place = folder_of(found.run.info.artifact_uri) / RECORD
    place.unlink()
    with pytest.raises(ConvzooError, match=r"has no descent/descent.json .* run: convzoo sync"):
        find_version("descended@candidate")


def test_a_name_without_a_version_lists_those_there_are():
    with pytest.raises(ConvzooError, match=r"nothing@champion: no model with the name nothing .*; registered models: "):
        find_version("nothing@champion")
    assert store.use_store()


@pytest.mark.parametrize(
    "text", ["stages:\n<<<<<<< HEAD\n  a: {}\n=======\n>>>>>>> b\n", "[1, 2]", "stages: 3", "a: [", "\0"]
)
def test_a_lock_file_that_is_not_dvcs_is_named(project, text):
    Path("dvc.lock").write_text(text)
    try:
        with pytest.raises(
            ConvzooError, match=r"dvc.lock: is not a lock file of DVC \(.+\), expected one; restore it: git"
        ):
            locked_stages()
    finally:
        Path("dvc.lock").unlink()
