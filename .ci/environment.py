"""Makes .venv: the tested versions of constraints.txt and this clone's package; does nothing if that is done.

Needs nothing but Python. After a clone was moved, its scripts are fixed without a download.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
SCRIPTS = VENV / ("Scripts" if sys.platform == "win32" else "bin")
STAMP = VENV / "convzoo-environment"


def pip(*arguments: str) -> None:
    """Run the environment's pip in the clone's folder; its output is shown, and ends this script if it fails."""
    command = [str(SCRIPTS / "python"), "-m", "pip", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, cwd=ROOT).returncode:
        sys.exit(f"pip {' '.join(arguments)} failed; fix what it says above and run make setup again")


def make_venv(*options: str) -> None:
    """Make .venv, with the Python that this one may come from."""
    base = getattr(sys, "_base_executable", sys.executable)
    if subprocess.run([base, "-m", "venv", *options, str(VENV)]).returncode:
        sys.exit(f"{base} could not make .venv; fix what it says above and run make setup again")


def works() -> bool:
    """Whether there is a .venv with a Python and pip that run; one that was filled by hand or in part is kept."""
    python = SCRIPTS / "python"
    return python.exists() and not subprocess.run([python, "-c", "import pip"], capture_output=True).returncode


def repair_scripts(old: str) -> None:
    """Point the scripts that pip and venv wrote for the folder `old` at this one; works for paths with spaces too."""
    python = SCRIPTS / "python"
    for script in SCRIPTS.glob("[aA]ctivate*"):
        script.write_text(script.read_text().replace(old, str(ROOT)))
    for script in SCRIPTS.iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        text = script.read_bytes()
        head, _, rest = text.partition(b"\n")
        if not head.startswith(b"#!") or old.encode() not in text[:1000] or b"python" not in text[:1000]:
            continue
        if head == b"#!/bin/sh":  # the form for long paths and paths with spaces: two more lines of it
            rest = rest.split(b"\n", 2)[2]
        script.write_bytes(b"#!/bin/sh\n'''exec' \"" + str(python).encode() + b'" "$0" "$@"\n\' \'\'\'\n' + rest)


def main() -> None:
    """Bring .venv to what this clone needs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-index", help="address of a package index to take torch and torchvision from")
    parser.add_argument("--lock", help="a file of locks/, whose hashes every package must have")
    options = parser.parse_args()

    needed = hashlib.sha256(
        (ROOT / "pyproject.toml").read_bytes() + (ROOT / "constraints.txt").read_bytes()
    ).hexdigest()
    done = STAMP.read_text().splitlines() if STAMP.exists() else ["", ""]
    if (options.torch_index or options.lock) and done[0]:
        sys.exit(".venv is there already; to take packages from an index or a lock file remove it first: rm -rf .venv")
    if done == [needed, str(ROOT)]:
        return
    moved = done[1] not in ("", str(ROOT))
    if moved:
        print(f"this clone was moved from {done[1]}: fixing .venv", flush=True)
        repair_scripts(done[1])
    if done[0] == needed:
        pip("install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-e", ".")
    else:
        free = shutil.disk_usage(ROOT).free / 1e9
        size = f"up to 7 GB, most of it CUDA's libraries for torch; {free:.1f} GB are free here"
        print(f"filling .venv: {size}; a few minutes", flush=True)
        if not works():
            make_venv("--clear")
        STAMP.unlink(missing_ok=True)
        if options.lock:
            pip("install", "-q", "--require-hashes", "--no-deps", "-r", options.lock)
        elif options.torch_index:
            torch = ["--no-deps", "--index-url", options.torch_index, "torch", "torchvision"]  # the rest comes as usual
            pip("install", "-q", "-c", "constraints.txt", *torch)
        if options.lock:
            pip("install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-e", ".")
        else:
            pip("install", "-q", "-c", "constraints.txt", "setuptools")
            pip("install", "-q", "-c", "constraints.txt", "--no-build-isolation", "-e", ".[dev]")
    STAMP.write_text(f"{needed}\n{ROOT}\n")


if __name__ == "__main__":
    main()
