"""The pipeline's own shape: what its stages depend on, and whose code a stage runs."""

import ast
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from dvc.repo import Repo
from helpers.project import ROOT, commit, copy_project, dvc, git
from scmrepo.git import Git

from convzoo.checks.code import CODE, FAMILY_STAGES, code_file, stage_code
from convzoo.checks.modules import ModuleCache
from convzoo.settings.load import read_params

PARAMS = read_params(ROOT / "params.yaml").values
STAGES = ["check", "validate", "report"]
STAGES += [f"{verb}@{name}" for verb in ("download", "prepare", "augment") for name in PARAMS["data"]]
STAGES += [f"weights@{name}" for name in PARAMS["weights"]]
STAGES += [f"{verb}@{name}" for verb in ("train", "export", "evaluate", "register") for name in PARAMS["networks"]]


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


def test_git_ignores_all_outs_but_the_main_metrics_also_after_their_folders_were_removed(tmp_path):
    shutil.copy(ROOT / ".gitignore", tmp_path)
    git(tmp_path, "init", "-q")
    outs = sorted(set().union(*(outs for _, _, _, outs in stages().values())))
    with Git(str(tmp_path)) as scm:  # as DVC asks before it adds a line to a .gitignore beside an out
        committed = [out for out in outs if not scm.is_ignored(str(tmp_path / out))]
    assert committed == sorted(f"models/{network}/metrics.json" for network in PARAMS["networks"])
    command = ["git", "-C", str(tmp_path), "check-ignore", *outs, "models/one/card.md", "mlruns/mlflow.db"]
    ignored = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(ignored) == sorted({*outs, "models/one/card.md", "mlruns/mlflow.db"} - set(committed))


def code_of(stage: str) -> tuple[str, str | None]:
    """The verb of a stage, and the family of its network if that counts."""
    verb, _, name = stage.partition("@")
    return verb, PARAMS["networks"][name]["family"] if verb in FAMILY_STAGES else None


def test_blocks_of_params_make_the_stages():
    assert sorted(stages()) == sorted(STAGES)


@pytest.mark.parametrize("stage", [name for name in STAGES if name != "check"])
def test_every_stage_depends_on_the_code_that_it_runs(stage):
    command, deps, _, _ = stages()[stage]
    verb, family = code_of(stage)
    assert command == " ".join(filter(None, ["PYTHONPATH=src python", f"pipeline/{verb}.py", stage.partition("@")[2]]))
    code = {Path(dep) for dep in deps if Path(dep).parent == CODE and not re.match("(source|file)-", Path(dep).name)}
    assert code == {code_file(verb, family)}
    assert not [dep for dep in deps if dep.startswith(("src", "pipeline"))]


def test_the_table_of_contents_is_short():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) < 180
    assert len(list((ROOT / "pipeline").glob("*.py"))) == len({stage.partition("@")[0] for stage in STAGES})


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
    with ModuleCache() as cache:
        for stage in STAGES[1:]:
            modules = stage_code(*code_of(stage), cache=cache)["modules"]
            found = {
                name for path in modules if path.endswith(".py") for name in cache.read(ROOT / path).packages & heavy
            }
            assert found <= allowed.get(stage.partition("@")[0], set()), stage


def files_of(package: str) -> set[str]:
    return {file.relative_to(ROOT).as_posix() for file in (ROOT / "src/convzoo" / package).glob("*.py")}


def test_each_heavy_tool_has_one_doorman():
    doors = {
        "great_expectations": files_of("validation"),
        "onnxruntime": {"src/convzoo/shipping/model.py"},
        "mlflow": files_of("tracking"),
        "onnx": {"src/convzoo/shipping/onnx.py", "src/convzoo/shipping/graph.py"},
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
    entry = second / "src/convzoo/data/splits.py"
    entry.write_text(entry.read_text() + "\nMORE = 1\n")
    commit(second, "one more constant")

    dvc(first, "repro", "check")
    dvc(second, "repro", "check")

    files = [folder / code_file("prepare") for folder in (first, second)]
    digests = [re.search(r"splits.py\": \"(\w+)", file.read_text())[1] for file in files]
    assert digests[0] != digests[1]
