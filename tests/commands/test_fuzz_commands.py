"""Commands that meet a broken params.yaml: lines that name the file, exit code 1, never a traceback."""

import hashlib
import re
import subprocess
import sys

import pytest
from helpers.project import ROOT, convzoo, environment, python

TEXT = (ROOT / "params.yaml").read_text()
BROKEN = {
    "words": ("epochs: 3", "epochs: ten"),
    "half": (TEXT[5000:], ""),
    "sections": (TEXT, "a: 1\n"),
    "laughs": (TEXT, "a: &a [1]\nb: [*a, *a]\n"),
    "tag": ("seed: 0", "seed: !!int x"),
}
COMMANDS = [
    *(("convzoo.cli", "check", name) for name in BROKEN),
    ("convzoo.cli", "profile test", "laughs"),
    ("convzoo.cli", "profile", "tag"),
    ("convzoo.cli", "sync", "sections"),
    ("convzoo.cli", "structure resnet18", "sections"),
    ("pipeline.check", "", "half"),
]


@pytest.fixture
def folder(tmp_path):
    """A folder to run the commands in."""
    for name in ("src", "pipeline", "profiles", "Makefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize(("module", "arguments", "broken"), COMMANDS)
def test_a_command_that_meets_broken_params_says_so_and_ends(folder, module, arguments, broken):
    (folder / "params.yaml").write_text(TEXT.replace(*BROKEN[broken], 1))
    said = python(folder, "-m", module, *arguments.split(), expected=1)
    assert all(re.match(r"error: params\.yaml:\d+", line) for line in said.splitlines()), said


def test_make_says_the_same(folder):
    (folder / ".ci").mkdir()
    for name in (".ci/environment.py", "pyproject.toml", "constraints.txt"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    # The environment is there, says its stamp: make goes on to the check with this test's Python.
    needed = hashlib.sha256((folder / "pyproject.toml").read_bytes() + (folder / "constraints.txt").read_bytes())
    (folder / ".venv").mkdir()
    (folder / ".venv/convzoo-environment").write_text(f"{needed.hexdigest()}\n{folder}\n")
    (folder / "params.yaml").write_text(TEXT.replace(*BROKEN["words"], 1))
    command = ["make", "-s", "check", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment())
    [line, _] = done.stderr.splitlines()
    assert line.startswith("error: params.yaml:") and "networks.mnist-classifier.epochs: got 'ten'" in line
    assert done.returncode and convzoo(folder, "check", expected=1).strip() == line
