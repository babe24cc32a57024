"""Networks that run side by side leave what one `dvc repro` leaves, byte for byte."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project import ROOT, commit, convzoo, copy_project, dvc, environment, git, query, ran

from convzoo.settings.load import read_params

NETWORKS = ("a", "b", "c")
# Each stage copies what it depends on. `register` reads dvc.lock again and again; the real one does so once.
PIPELINE = """
stages:
  check: {cmd: python step.py code/one.json, always_changed: true, outs: [code: {persist: true}]}
  prepare: {cmd: python step.py data/one code/one.json, deps: [code/one.json], outs: [data/one]}
  train:
    foreach: ${networks}
    do:
      cmd: python step.py models/${key}/weights data/one
      deps: [data/one]
      params: [compute, "networks.${key}"]
      outs: ["models/${key}/weights"]
  register:
    foreach: ${networks}
    do:
      cmd: python read.py ${key} && python step.py models/${key}/registration.json models/${key}/weights
      deps: ["models/${key}/weights"]
      outs: ["models/${key}/registration.json": {cache: false}]
  report: {cmd: python step.py report models/a/weights, deps: [models], outs: [report]}
"""
STEP = """
import sys
from pathlib import Path
target, *origin = map(Path, sys.argv[1:])
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(origin[0].read_text() + str(target) if origin else "code")
"""
READ = """
import sys
from convzoo.lineage.record import locked_stages
for _ in range(100):
    assert {"check", "prepare", f"train@{sys.argv[1]}"} <= locked_stages().keys()
"""
DRIVER = """
from convzoo.cli import app
from convzoo.commands import check
from convzoo.repro import jobs
check.command = lambda: None
jobs.due_files = lambda params: {}
app()
"""


@pytest.fixture
def project(tmp_path):
    """A small pipeline; a stage's many params make dvc.lock long, so that writing it takes a while."""
    folder = tmp_path / "one after another"
    (folder / "src/convzoo").mkdir(parents=True)  # by which a project is found
    compute = (
        "{portable: false, device: cpu, devices: 1, nodes: 1, strategy: auto, precision: fp32, threads: 1, "
        "deterministic: true}"
    )
    many = "".join(f"    key{number}: {number}\n" for number in range(300))
    networks = "".join(f"  {name}:\n{many}" for name in NETWORKS)
    (folder / "params.yaml").write_text(f"profile: test\ncompute: {compute}\nnetworks:\n{networks}")
    for name, content in {"dvc.yaml": PIPELINE, "step.py": STEP, "read.py": READ, "driver.py": DRIVER}.items():
        (folder / name).write_text(content)
    git(folder, "init", "-q")
    dvc(folder, "init", "-q")
    commit(folder, "a project")
    return folder


def test_the_lock_is_that_of_one_repro_and_whole_whenever_a_stage_reads_it(project, tmp_path):
    other = Path(shutil.copytree(project, tmp_path / "side by side"))
    source = {"PYTHONPATH": str(ROOT / "src")}
    assert len(ran(dvc(project, "repro", **source))) == 9
    command = [sys.executable, "driver.py", "repro", "--jobs", "3"]
    done = subprocess.run(command, cwd=other, env=environment(**source), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0 and "9 ran" in done.stdout, done.stdout + done.stderr
    assert (other / "dvc.lock").read_bytes() == (project / "dvc.lock").read_bytes()
    assert ran(dvc(other, "repro", **source)) == ["check"]


@pytest.mark.prove
def test_the_profile_test_side_by_side_leaves_the_lock_and_the_registry_of_one_repro(tmp_path):
    one, other = copy_project(tmp_path / "one"), copy_project(tmp_path / "side by side")
    for folder in (one, other):
        convzoo(folder, "profile", "test")
        commit(folder, "the profile test")
    dvc(one, "repro", timeout=7200)
    printed = convzoo(other, "repro", "--jobs", "4", timeout=7200)
    assert (other / "dvc.lock").read_bytes() == (one / "dvc.lock").read_bytes()
    networks = list(read_params(one / "params.yaml").values["networks"])
    for folder in (one, other):
        assert query(folder, "SELECT DISTINCT status FROM runs") == [("FINISHED",)]
        aliases = query(folder, "SELECT name, alias, version FROM registered_model_aliases")
        assert sorted(aliases) == sorted((name, "candidate", 1) for name in networks)
    assert sorted(re.findall(r"^  (\S+): version 1 registered", printed, re.MULTILINE)) == sorted(networks)
