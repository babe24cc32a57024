"""Copies of this project for tests that run its commands, and how to run them."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from functools import cache
from pathlib import Path

from convzoo.checks.check import STAGES
from convzoo.checks.code import FAMILY_STAGES, code_file, stage_inputs
from convzoo.checks.modules import ModuleCache
from convzoo.families.find import family_names
from convzoo.files import write_json
from convzoo.settings.load import read_params

ROOT = Path(__file__).resolve().parents[2]


def copy_project(target: Path) -> Path:
    """The project's files, as git would commit them, in a git repository of their own with one commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / "dvc.lock").unlink(missing_ok=True)
    git(target, "init", "-q", "-b", "main")
    commit(target, "a copy for a test")
    return target


@cache
def checked_code() -> dict[Path, dict]:
    """What the stage `check` finds for this tree: the files of data/code and what is in them."""
    keys = [(stage, None) for stage in STAGES] + [
        (stage, family) for stage in FAMILY_STAGES for family in family_names()
    ]
    params = read_params(ROOT / "params.yaml")
    with ModuleCache() as cache:
        return {code_file(*key): stage_inputs(*key, params, cache) for key in keys}


def link_code(folder: Path) -> None:
    """Put src and pipeline of this tree into `folder`, and data/code as the stage `check` leaves it."""
    for shared in ("src", "pipeline"):
        (folder / shared).symlink_to(ROOT / shared, target_is_directory=True)
    for file, content in checked_code().items():
        write_json(folder / file, content)


def commit(folder: Path, message: str) -> None:
    """Commit all that git does not ignore."""
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-q", "-m", message)


def git(folder: Path, *arguments: str) -> None:
    """Run git in `folder`."""
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def environment(**more: str) -> dict[str, str]:
    """That of a process of its own in a copy: this Python first, the copy's src, nothing of whoever runs the tests."""
    cleared = {name: value for name, value in os.environ.items() if name not in ("CONVZOO_TRACKING", "DVC_ROOT")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return cleared | {"PATH": path, "PYTHONPATH": "src", "NO_COLOR": "1"} | more


def python(folder: Path, *arguments: str, expected: int = 0, timeout: float = 1200, **more: str) -> str:
    """Run `python ARGUMENTS` in `folder` with its own src; what it printed, which must end with the expected code."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    told = done.stdout + done.stderr
    assert done.returncode == expected, f"{' '.join(arguments)} ended with {done.returncode}:\n{told}"
    return told


def dvc(folder: Path, *arguments: str, expected: int = 0, timeout: float = 1200, **more: str) -> str:
    """Run dvc in `folder`."""
    return python(folder, "-m", "dvc", *arguments, expected=expected, timeout=timeout, **more)


def convzoo(folder: Path, *arguments: str, expected: int = 0, **more: str) -> str:
    """Run convzoo in `folder`."""
    return python(folder, "-m", "convzoo", *arguments, expected=expected, **more)


def imported(folder: Path, *arguments: str) -> set[str]:
    """The packages that a convzoo command imports, which must succeed and print something."""
    code = (
        "import json, runpy, sys\n"
        "sys.argv[0] = 'convzoo'\n"
        "try:\n"
        "    runpy.run_module('convzoo', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "print('modules: ' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    output, found, modules = python(folder, "-c", code, *arguments).rpartition("\nmodules: ")
    assert output and found
    return set(json.loads(modules.splitlines()[0]))  # stderr may follow


def ran(told: str) -> list[str]:
    """The stages that a `dvc repro` ran."""
    return re.findall(r"Running stage '([^']+)'", told)


def query(folder: Path, sql: str) -> list[tuple]:
    """Rows of the tracking database of `folder`."""
    with sqlite3.connect(folder / "mlruns/mlflow.db") as database:
        return database.execute(sql).fetchall()
