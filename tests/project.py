"""Copies of this project for tests that run its commands, and how to run them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


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


def commit(folder: Path, message: str) -> None:
    """Commit all that git does not ignore."""
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-q", "-m", message)


def git(folder: Path, *arguments: str) -> None:
    """Run git in `folder`."""
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def python(folder: Path, *arguments: str, expected: int = 0, **environment: str) -> str:
    """Run `python ARGUMENTS` in `folder` with its own src; what it printed, which must end with the expected code."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    cleared = {name: value for name, value in os.environ.items() if name not in ("CONVZOO_TRACKING", "DVC_ROOT")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=cleared | {"PATH": path, "PYTHONPATH": "src", "NO_COLOR": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=540,
    )
    told = done.stdout + done.stderr
    assert done.returncode == expected, f"{' '.join(arguments)} ended with {done.returncode}:\n{told}"
    return told


def dvc(folder: Path, *arguments: str, expected: int = 0, **environment: str) -> str:
    """Run dvc in `folder`."""
    return python(folder, "-m", "dvc", *arguments, expected=expected, **environment)


def convzoo(folder: Path, *arguments: str, expected: int = 0, **environment: str) -> str:
    """Run convzoo in `folder`."""
    return python(folder, "-m", "convzoo.cli", *arguments, expected=expected, **environment)
