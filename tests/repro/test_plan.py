"""Which stages a run visits and will probably run."""

import hashlib
import re
from pathlib import Path

import pytest
from helpers.project import ROOT
from ruamel.yaml import YAML

from convzoo.errors import ConvzooError
from convzoo.repro.durations import REFERENCE, read_durations
from convzoo.repro.plan import Plan, read_plan, resolved_stages
from convzoo.settings.load import read_params

PIPELINE = """
stages:
  check: {cmd: check, always_changed: true, outs: [code: {persist: true}]}
  prepare:
    foreach: ${data}
    do: {cmd: "prepare ${key}", params: ["data.${key}"], deps: [code/prepare.json], outs: ["prepared/${key}"]}
  train:
    foreach: ${networks}
    do:
      cmd: train ${key}
      params: [compute, "networks.${key}"]
      deps: ["prepared/${item.data}/train", "code/train-${item.family}.json"]
      outs: ["models/${key}/weights"]
      plots: ["models/${key}/history": {x: epoch}]
  report: {cmd: report, deps: [models], outs: [report]}
"""
PARAMS = {
    "compute": {"threads": 2},
    "data": {"x": {"side": 4}, "y": {"side": 5}},
    "networks": {"a": {"data": "x", "family": "one", "epochs": 3}, "b": {"data": "y", "family": "two", "epochs": 3}},
}
NAMES = ["check", "prepare@x", "prepare@y", "train@a", "train@b", "report"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in which everything was built; dvc.lock as DVC writes it."""
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(PIPELINE)
    stages = dict(resolved_stages(YAML(typ="safe").load(PIPELINE), PARAMS))
    for name in ("prepare", "train-one", "train-two"):
        Path("code").mkdir(exist_ok=True)
        Path(f"code/{name}.json").write_text(name)
    locked = {}
    for name, stage in stages.items():
        for out in stage.outs:
            Path(out).mkdir(parents=True, exist_ok=True)
        deps = [
            {"path": dep, "md5": hashlib.md5(Path(dep).read_bytes()).hexdigest() if Path(dep).is_file() else "a folder"}
            for dep in stage.deps
        ]
        params = {key: PARAMS[key.split(".")[0]] for key in stage.params}
        params = {key: value[key.split(".")[1]] if "." in key else value for key, value in params.items()}
        locked[name] = {"cmd": stage.cmd, "deps": deps, "params": {"params.yaml": params}}
    with Path("dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": locked}, file)
    return tmp_path


def test_foreach_lists_are_resolved(project):
    plan = read_plan(PARAMS, [])
    assert list(plan.stages) == NAMES and plan.count == 6
    stage = plan.stages["train@a"]
    assert (stage.cmd, stage.params) == ("train a", ["compute", "networks.a"])
    assert stage.deps == ["prepared/x/train", "code/train-one.json"]
    assert stage.outs == ["models/a/weights", "models/a/history"]


def test_the_stages_of_this_project_are_those_of_its_lock(rebuilt, monkeypatch):
    monkeypatch.chdir(rebuilt.folder)
    plan = read_plan(YAML(typ="safe").load(Path("params.yaml")), [])
    assert plan.stages.keys() == plan.locked.keys()
    for name, entry in plan.locked.items():
        stage = plan.stages[name]
        assert stage.cmd == entry["cmd"]
        assert sorted(stage.deps) == sorted(dep["path"] for dep in entry.get("deps", ()))
        assert sorted(stage.outs) == sorted(out["path"] for out in entry["outs"])
        assert sorted(stage.params) == sorted(entry.get("params", {}).get("params.yaml", ()))
    assert plan.pending({"check": "ran"}) == []


def test_the_committed_durations_are_those_of_all_stages_of_the_committed_profile(monkeypatch):
    monkeypatch.chdir(ROOT)
    params = read_params().values
    durations = read_durations(params["profile"], REFERENCE)
    assert durations.keys() == set(read_plan(params, []).names), "run: convzoo repro --force, then: make durations"
    assert min(durations.values()) > 0


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["train@a"], ["check", "prepare@x", "train@a"]),
        (["train", "-f"], NAMES[:-1]),
        (["-s", "train"], ["train@a", "train@b"]),
        (["report", "--keep-going"], NAMES),
        (["--all-pipelines"], NAMES),
        (["other"], []),
        (["train@a", "--downstream"], []),
    ],
)
def test_targets_select_the_stages_that_they_need(project, arguments, names):
    plan = read_plan(PARAMS, arguments)
    assert plan.names == names and plan.count == (len(names) or None)


@pytest.mark.parametrize(
    ("target", "close"),
    [
        ("train@c", "did you mean 'train@"),
        ("prepare@xx", "did you mean 'prepare@x'? "),
        ("reprot", "did you mean 'report'? "),
    ],
)
def test_a_name_that_is_no_stage_is_refused_with_one_like_it(project, target, close):
    with pytest.raises(ConvzooError, match=f"^{target}: there is no such stage, .*{re.escape(close)}"):
        read_plan(PARAMS, [target]).check_targets(["-f", target])


@pytest.mark.parametrize(
    "arguments", [["train", "report"], ["train@a", "-f"], ["dvc.yaml"], ["a*", "--glob"], ["sub/x"]]
)
def test_what_can_be_a_target_is_left_to_dvc(project, arguments):
    read_plan(PARAMS, arguments).check_targets(arguments)


def test_a_pipeline_that_is_not_understood_has_no_stages(project):
    Path("dvc.yaml").write_text("stages: {train: {matrix: {x: [1]}, cmd: 'train ${item.x}'}}")
    plan = read_plan(PARAMS, [])
    plan.check_targets(["anything"])
    assert plan.count is None


def changed(**networks: dict) -> dict:
    return PARAMS | {"networks": {name: PARAMS["networks"][name] | networks.get(name, {}) for name in "ab"}}


@pytest.mark.parametrize(
    ("change", "pending"),
    [
        (lambda: PARAMS, []),
        (lambda: changed(b={"epochs": 4}), ["train@b", "report"]),
        (lambda: PARAMS | {"data": PARAMS["data"] | {"x": {"side": 9}}}, ["prepare@x", "train@a", "report"]),
        (lambda: Path("code/train-one.json").write_text("other code") and PARAMS, ["train@a", "report"]),
        (lambda: Path("report").rmdir() or PARAMS, ["report"]),
        (lambda: Path("dvc.lock").unlink() or PARAMS, NAMES[1:]),
    ],
)
def test_stages_will_run_whose_inputs_changed_and_those_after_them(project, change, pending):
    params = change()
    assert read_plan(params, []).pending({"check": "ran"}) == pending


def test_forced_stages_will_all_run(project):
    assert read_plan(PARAMS, ["-f"]).pending({}) == NAMES


def test_what_follows_from_a_stage_that_ran_will_run_unless_it_is_unchanged(project):
    plan = read_plan(PARAMS, [])
    status = {"check": "ran", "prepare@x": "ran", "prepare@y": "unchanged"}
    assert plan.pending(status) == ["train@a", "report"]
    assert plan.pending(status | {"train@a": "unchanged"}) == []


def test_a_plan_without_stages_has_nothing_to_run():
    assert Plan({}, {}, {}, []).pending({}) == []


def test_networks_with_something_to_run_are_listed_with_their_stages(project):
    assert read_plan(PARAMS, []).networks({}) == {}
    assert read_plan(changed(b={"epochs": 4}), []).networks({}) == {"b": ["train@b"]}
    assert read_plan(PARAMS, ["-f"]).networks({}) == {"a": ["train@a"], "b": ["train@b"]}


def test_code_that_the_check_will_see_makes_networks_run_before_the_check_has_run(project):
    assert read_plan(PARAMS, [], {"code/train-one.json": "the md5 of other code"}).networks({}) == {"a": ["train@a"]}


def test_a_network_that_needs_another_one_is_not_listed(project):
    text = PIPELINE.replace('deps: ["prepared/${item.data}/train",', 'deps: ["${item.needs}",')
    Path("dvc.yaml").write_text(text)
    needs = {"a": "prepared/x", "b": "models/a/weights"}
    networks = {name: block | {"needs": needs[name]} for name, block in PARAMS["networks"].items()}
    assert read_plan(PARAMS | {"networks": networks}, ["-f"]).networks({}) == {"a": ["train@a"]}


def test_what_networks_need_is_named_without_what_follows_from_it(project):
    plan = read_plan(PARAMS, [])
    assert plan.needed_by(["train@a", "train@b"]) == ["prepare@x", "prepare@y"]
    assert plan.needed_by(["train@b"]) == ["prepare@y"]
    assert plan.needed_by(["report"]) == ["train@a", "train@b"]
