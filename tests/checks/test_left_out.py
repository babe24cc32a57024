"""What data/code leaves out cannot change a result: trainings end with the same bytes without it."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.killing import PATHS, finish, start
from helpers.project import environment

from convzoo.checks.code import LEFT_OUT
from convzoo.families.find import family_names
from convzoo.files import sha256_of

STUBS = f"""
import importlib.abc, importlib.util, sys, types
from unittest.mock import MagicMock

LEFT_OUT = {sorted(LEFT_OUT)}


class Stub(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (Exception,), {{}}) if name.endswith("Error") else MagicMock(name=name)
        if name == "stage_code":
            value = lambda *_: {{"modules": {{}}, "versions": {{}}}}
        setattr(self, name, value)
        return value


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if any(name == left or name.startswith(left + ".") for left in LEFT_OUT):
            return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        return Stub(spec.name)

    def exec_module(self, module):
        print("stub of", module.__name__)


sys.meta_path.insert(0, Finder())
"""
TRAIN = "from helpers.killing_trainings import train\ntrain({!r})\n"


def files_of(folder: Path) -> dict[str, str]:
    """What a training wrote, by sha256."""
    files = [file for file in (folder / "models").rglob("*") if file.is_file() and file.name != "fingerprint.json"]
    return {file.relative_to(folder).as_posix(): sha256_of(file) for file in files}


def train_with_stubs(folder: Path, family: str) -> str:
    """Run a small training without what is left out; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", STUBS + TRAIN.format(family)],
        cwd=folder,
        env=environment(CONVZOO_TRACKING="off", PYTHONPATH=":".join(PATHS)),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("family", family_names())
def test_a_training_without_what_is_left_out_gives_the_same_bytes(tmp_path, family):
    whole, stubbed = tmp_path / "whole", tmp_path / "stubbed"
    whole.mkdir(), stubbed.mkdir()
    finish(start(family, whole), whole)
    printed = train_with_stubs(stubbed, family)
    assert {"stub of convzoo.errors", "stub of convzoo.tracking.live"} <= set(printed.splitlines())
    assert files_of(stubbed) == files_of(whole)
    assert any(name.endswith("weights.safetensors") for name in files_of(whole))
