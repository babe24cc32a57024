"""Which models a run says are those of the last commit, and where the others came apart."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from convzoo.repro import committed
from convzoo.repro.committed import committed_stages, compared_models

NETWORKS = ("a", "b")


def stage(deps: dict[str, str], outs: dict[str, str], **more: Any) -> dict[str, Any]:
    parts = {"deps": deps, "outs": outs}
    entry = {name: [{"path": path, "md5": md5} for path, md5 in part.items()] for name, part in parts.items()}
    return {"cmd": "run", **entry, **more}


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """The stages of two networks on one data set."""
    monkeypatch.chdir(tmp_path)
    stages = {"prepare@digits": stage({"data/raw": "1"}, {"data/prepared": "2"})}
    for name in NETWORKS:
        weights, model = f"models/{name}/weights.safetensors", f"models/{name}/model.onnx"
        stages[f"train@{name}"] = stage({"data/prepared": "2"}, {weights: "3"}, params={"params.yaml": {"rate": 1}})
        stages[f"export@{name}"] = stage({weights: "3"}, {model: "4", f"models/{name}/export.json": "5"})
        Path(model).parent.mkdir(parents=True)
        Path(model).touch()
    return stages


def change(stages: dict[str, Any], name: str, md5: str, part: str = "outs") -> None:
    """Give the first output of a stage other bytes, also where others depend on it."""
    path = stages[name][part][0]["path"]
    for entry in stages.values():
        for item in [*entry["deps"], *entry["outs"]]:
            if item["path"] == path:
                item["md5"] = md5


@pytest.fixture
def no_bits(monkeypatch):
    monkeypatch.setattr(committed, "first_operation", lambda: "the first operation is: GELU")


def lines(before: dict[str, Any], after: dict[str, Any], portable: bool = True) -> list[str]:
    return [line.strip() for line in compared_models(NETWORKS, before, after, portable)]


def test_the_same_models_are_counted(locked):
    assert lines(locked, locked) == ["2 of 2 models are byte for byte those of this repository"]
    Path("models/b/model.onnx").unlink()
    assert lines(locked, locked) == ["1 of 1 models are byte for byte those of this repository"]
    assert lines({}, locked) == []


def test_the_first_stage_with_other_bits_is_named_and_the_operation(locked, no_bits):
    after = copy.deepcopy(locked)
    change(after, "train@b", "other"), change(after, "export@b", "other")
    first, *rest = lines(locked, after)
    assert first == "1 of 2 models are byte for byte those of this repository"
    message = "b: the first stage with other bits from the same inputs is train@b"
    assert rest == [message, "the first operation is: GELU"]
    assert lines(locked, after, portable=False)[1:] == [message]
    change(after, "prepare@digits", "other"), change(after, "train@a", "other"), change(after, "export@a", "other")
    assert [line.rpartition(" ")[2] for line in lines(locked, after)[1:3]] == ["prepare@digits"] * 2


def test_other_settings_are_no_question_of_bits(locked):
    after = copy.deepcopy(locked)
    after["train@a"]["params"] = {"params.yaml": {"rate": 2}}
    change(after, "train@a", "other"), change(after, "export@a", "other")
    assert lines(locked, after)[1:] == ["other settings: a"]


def test_the_lock_file_is_that_of_the_last_commit(locked):
    assert committed_stages() == {}
    for text in (json.dumps({"stages": locked}), "- no lock file", "a: {"):
        Path("dvc.lock").write_text(text)
        commands = (["init", "-q"], ["add", "dvc.lock"], ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qmx"])
        for arguments in commands:
            subprocess.run(["git", *arguments], check=True)
        Path("dvc.lock").unlink()
        assert committed_stages() == (YAML(typ="safe").load(text)["stages"] if "stages" in text else {})


def test_a_project_in_a_folder_of_its_repository_has_its_own_lock_file(locked, monkeypatch):
    Path("project").mkdir()
    monkeypatch.chdir("project")
    Path("dvc.lock").write_text(json.dumps({"stages": locked}))
    subprocess.run(["git", "init", "-q", ".."], check=True)
    subprocess.run(["git", "add", "dvc.lock"], check=True)
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=b", "commit", "-qmx"], check=True)
    assert committed_stages() == locked


def test_the_operation_comes_from_the_command_bits(locked, monkeypatch, capsys):
    calls = []

    def run(command, env, **options):
        calls.append((command, env))
        Path(".repro").mkdir(exist_ok=True)
        record = {"processor": "this", "versions": {}, "operations": {"exp": "1", "GELU": "2", "tanh": "2"}}
        Path(".repro/bits.json").write_text(json.dumps(record))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(committed.subprocess, "run", run)
    assert committed.first_operation() == "tests/bits has no files to compare its operations with"
    Path("tests/bits").mkdir(parents=True)
    known = {"processor": "Other", "versions": {}, "operations": {"exp": "1", "GELU": "1", "tanh": "1"}}
    Path("tests/bits/other.json").write_text(json.dumps(known))
    assert committed.first_operation() == "the first operation with other bits than on Other is: GELU"
    assert calls[0][0][1:4] == ["-m", "convzoo", "bits"] and calls[0][1]["MKL_CBWR"] == "COMPATIBLE"
    Path("tests/bits/other.json").write_text(json.dumps(known | {"operations": {"exp": "1", "tanh": None}}))
    assert committed.first_operation() == "all operations of this machine have the bits in tests/bits"
    assert "takes about a minute" in capsys.readouterr().err


def test_a_failure_of_the_command_bits_is_said(locked, monkeypatch):
    Path(".repro").mkdir()
    earlier = {"processor": "this", "versions": {}, "operations": {"exp": "1"}}
    Path(".repro/bits.json").write_text(json.dumps(earlier))
    done = subprocess.CompletedProcess([], 1, "", "first\nno memory\n")
    monkeypatch.setattr(committed.subprocess, "run", lambda *arguments, **options: done)
    assert committed.first_operation().startswith("convzoo bits failed (no memory); run it")
