"""Two `dvc repro` in one clone: the second is told who is at work, and nothing comes to harm."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.killing import until
from helpers.project import commit, copy_project, dvc, git, link_code
from helpers.small.classifier import small_project

NETWORK = "mnist-classifier"
STAGES = f"""stages:
  train:
    cmd: PYTHONPATH=src CONVZOO_TRACKING=off python pipeline/train.py {NETWORK}
    deps: [data/prepared/mnist, params.yaml]
    outs: [models/{NETWORK}/weights.safetensors, models/{NETWORK}/history.csv]
  count:
    cmd: wc -l < models/{NETWORK}/history.csv > lines.txt
    deps: [models/{NETWORK}/history.csv]
    outs: [lines.txt]
"""


@pytest.fixture
def project(tmp_path):
    """A git repository with the stage `train`, as it is, and one that depends on it."""
    folder = small_project(tmp_path)
    link_code(folder)
    (folder / "dvc.yaml").write_text(STAGES)
    git(folder, "init", "-q")
    dvc(folder, "init", "-q")
    (folder / ".gitignore").write_text("src\npipeline\ndata\n")
    commit(folder, "a project")
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """`dvc repro`, which goes on while others start; what it prints goes to told-N.txt."""
    number = len(list(folder.glob("told-*.txt")))
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    with (folder / f"told-{number}.txt").open("w") as told:
        command = [sys.executable, "-m", "dvc", "repro", *arguments]
        return subprocess.Popen(
            command, cwd=folder, env={"PATH": path, "HOME": str(folder)}, stdout=told, stderr=subprocess.STDOUT
        )


def test_a_second_repro_is_told_who_trains_and_the_first_one_ends_well(project):
    first = start(project)
    until(lambda: "Running stage 'train'" in (project / "told-0.txt").read_text())
    told = dvc(project, "repro", expected=255)
    assert f"models/{NETWORK}/" in told and "is busy, it is being blocked by:" in told
    assert f"(PID {first.pid}): " in told and "Traceback" not in told
    assert first.poll() is None

    assert first.wait(120) == 0, (project / "told-0.txt").read_text()
    assert (project / "lines.txt").read_text().strip() == "4"
    assert "Data and pipelines are up to date." in dvc(project, "status")
    assert "Running stage" not in dvc(project, "repro")
    assert not list((project / ".checkpoints").iterdir())


def test_repros_started_in_the_same_moment_end_well_or_with_a_clear_word(tmp_path):
    folder = copy_project(tmp_path / "clone")
    stages = ("download@mnist", "prepare@mnist")
    both = [start(folder, *stages) for _ in range(2)]
    codes = [process.wait(120) for process in both]
    for number, code in enumerate(codes):
        told = (folder / f"told-{number}.txt").read_text()
        assert "Traceback" not in told
        assert code == 0 or "is being blocked by" in told or "Unable to acquire lock" in told, told
    dvc(folder, "repro", *stages)
    assert "Data and pipelines are up to date." in dvc(folder, "status", *stages)
    assert not list((folder / "data").rglob("*.new"))
