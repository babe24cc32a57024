"""The pipeline's own shape: its deps against the code's imports, and whose code a stage runs."""

import ast
import re
import subprocess
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
from dvc.repo import Repo
from helpers.project import ROOT, commit, copy_project, dvc, git

from convzoo.settings.load import read_params
from convzoo.settings.whole import FAMILIES

# Modules that a stage lists for some families and not for all: a stage's networks have the same list.
RESERVED = {
    ("train", "src/convzoo/shipping/model.py"),  # a dcgan judges its epochs by features, which an ONNX file computes
    # Of families with class probabilities; an autoencoder and a dcgan have none.
    ("export", "src/convzoo/families/probabilities/export.py"),
    ("evaluate", "src/convzoo/families/probabilities/evaluate.py"),
    ("evaluate", "src/convzoo/metrics/classification.py"),
    *(("evaluate", f"src/convzoo/metrics/{name}.py") for name in ("features", "images", "paired", "superclasses")),
}
# A dcgan's measures share KID with the selection of its epochs; the other families' need nothing of theirs.
RESERVED |= {("evaluate", f"src/convzoo/families/{family}/selection.py") for family in FAMILIES if family != "dcgan"}


@cache
def stages() -> dict:
    """The stages as dvc resolves them, by name."""
    with Repo(str(ROOT)) as repo:
        found = {}
        for stage in repo.index.stages:
            deps = {dep.def_path for dep in stage.deps if not dep.def_path.startswith("params.yaml")}
            params = [key for dep in stage.deps for key in getattr(dep, "params", None) or []]
            outs = {out.def_path for out in stage.outs}
            found[stage.addressing] = (stage.cmd, deps, params, outs)
        return found


def imported(script: Path) -> set[str]:
    """The project's modules that running `script` imports, also inside functions, as paths; empty ones left out."""
    finder = ModuleFinder(path=[str(ROOT / "src")])
    finder.run_script(str(script))
    files = [Path(module.__file__) for module in finder.modules.values() if module.__file__]
    return {file.relative_to(ROOT).as_posix() for file in files if file.stat().st_size}


PARAMS = read_params(ROOT / "params.yaml").values
STAGES = ["versions", "settings", "validate", "report"]
STAGES += [f"{verb}@{name}" for verb in ("download", "prepare", "augment") for name in PARAMS["data"]]
STAGES += [f"weights@{name}" for name in PARAMS["weights"]]
STAGES += [f"{verb}@{name}" for verb in ("train", "export", "evaluate", "register") for name in PARAMS["networks"]]


def test_blocks_of_params_make_the_stages():
    assert sorted(stages()) == sorted(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_modules_that_the_entry_imports(stage):
    command, deps, _, _ = stages()[stage]
    words = command.split()
    assert words[:2] == ["PYTHONPATH=src", "python"]
    needed = imported(ROOT / words[2])
    code = {dep for dep in deps if dep.startswith(("src/", "pipeline/"))}
    listed = {
        file.relative_to(ROOT).as_posix()
        for dep in code
        for file in ([ROOT / dep] if (ROOT / dep).is_file() else (ROOT / dep).rglob("*.py"))
        if file.stat().st_size and file.suffix == ".py"
    }
    reserved = {path for name, path in RESERVED if name == stage.split("@")[0]}
    assert needed - listed == set(), "imported, but no dep"
    assert listed - needed - reserved == set(), "a dep, but not imported"


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in ("versions", "settings")])
def test_every_stage_waits_for_the_settings_check(stage):
    assert "data/settings.json" in stages()[stage][1]


def test_training_never_sees_a_test_file():
    for name, (_, deps, _, _) in stages().items():
        if name.startswith(("train@", "augment@", "export@")):
            data = {dep for dep in deps if dep.startswith("data/prepared/")}
            assert data
            assert all(Path(dep).name in ("train", "val") for dep in data), name


def test_no_stage_declares_a_shared_folder():
    outs = [out for _, _, _, outs in stages().values() for out in outs]
    assert len(outs) == len(set(outs))
    assert not {"data", "models", "reports", "mlruns", "data/raw", "data/prepared", "data/augmented"} & set(outs)


@pytest.mark.parametrize("entry", sorted(path.name for path in (ROOT / "pipeline").glob("*.py")))
def test_entries_are_plumbing(entry):
    text = (ROOT / "pipeline" / entry).read_text()
    assert len(text.splitlines()) <= 30
    loops = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.For | ast.While)]
    assert loops == []
    assert "import torch" not in text


def test_light_stages_import_no_heavy_library():
    heavy = {"torch", "mlflow", "great_expectations", "lightning_fabric"}
    allowed = {
        "validate": {"great_expectations"},
        "train": {"torch", "lightning_fabric", "mlflow"},
        "export": {"torch"},
        "weights": {"torch"},
        "register": {"mlflow"},
    }
    for stage in STAGES:
        finder = ModuleFinder(path=[str(ROOT / "src")])
        finder.run_script(str(ROOT / stages()[stage][0].split()[2]))
        found = {name.split(".")[0] for name in finder.badmodules} & heavy
        assert found <= allowed.get(stage.split("@")[0], set()), stage


def test_each_heavy_tool_has_one_doorman():
    doors = {
        "great_expectations": {"src/convzoo/validation/validate.py"},
        "onnxruntime": {"src/convzoo/shipping/model.py"},
        "mlflow": {file.relative_to(ROOT).as_posix() for file in (ROOT / "src/convzoo/tracking").glob("*.py")},
        "onnx": {"src/convzoo/shipping/onnx.py", "src/convzoo/tracking/registry.py"},
    }
    for tool, files in doors.items():
        command = ["git", "grep", "-lE", "--untracked", rf"^\s*(import|from) {tool}\b", "--", "src", "pipeline"]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split()
        assert set(found) <= files, tool


def test_nothing_unpickles_but_published_weights():
    """Those with weights_only; the module pickle is there for the error that torch raises."""
    ways = {
        r"pickle\.|Unpickler|import pickle|from pickle": {"src/convzoo/weights/convert.py"},
        r"torch\.load\(": {"src/convzoo/weights/convert.py"},
        r"joblib|dill|shelve|marshal|allow_pickle=True|weights_only=False|read_pickle": set(),
    }
    for way, files in ways.items():
        command = ["git", "grep", "-lE", "--untracked", way, "--", "src/*.py", "pipeline/*.py"]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split()
        assert set(found) == files, way
    text = (ROOT / "src/convzoo/weights/convert.py").read_text()
    assert re.findall(r"\bpickle\.\w+|from pickle .*", text) == ["pickle.UnpicklingError"]
    assert re.findall(r"torch\.load\(.*", text) == ['torch.load(file, map_location="cpu", weights_only=True)']


def test_a_second_worktree_runs_its_own_code(tmp_path):
    first = copy_project(tmp_path / "first")
    second = tmp_path / "second worktree"
    git(first, "worktree", "add", "-q", "-b", "other", str(second))
    entry = second / "src" / "convzoo" / "versions.py"
    entry.write_text(entry.read_text().replace("PACKAGES = (", 'PACKAGES = (\n    "dvc",'))
    commit(second, "one more package")

    dvc(first, "repro", "versions")
    dvc(second, "repro", "versions")

    assert '"dvc"' not in (first / "data/versions.json").read_text()
    assert '"dvc"' in (second / "data/versions.json").read_text()
