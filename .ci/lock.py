"""Writes a lock file: the version and the sha256 of every package of the environment, for this Python and system.

pip resolves the requirements of pyproject.toml with constraints.txt and reports what it would install. The file
names no address, so that it can be installed from any index that has the same files.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"[-_.]+")


def requirements(constraints: str, build: str | None) -> list[str]:
    """The requirements of the package, of its development, and of its build; with `build` that build of torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    found += project["build-system"]["requires"]
    if build:
        versions = dict(re.findall(r"^(torch|torchvision)==(\S+)$", constraints, re.MULTILINE))
        found += [f"{name}=={version}+{build}" for name, version in versions.items()]
    return found


def resolved(wanted: list[str], index: str | None) -> list[dict]:
    """What pip would install into an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report), "-c", "constraints.txt"]
        command += ["--extra-index-url", index] if index else []
        if subprocess.run([*command, *wanted], cwd=ROOT).returncode:
            sys.exit("pip could not resolve the requirements; fix what it says above")
        return json.loads(report.read_text())["install"]


def lock(installed: list[dict]) -> str:
    """The lines of the lock file. Exits with a message if a package has no sha256."""
    lines = []
    for item in installed:
        name, version = NAME.sub("-", item["metadata"]["name"]).lower(), item["metadata"]["version"]
        sha256 = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if not sha256:
            sys.exit(f"{name} {version}: the index gives no sha256, expected one; use an index that does")
        lines.append(f"{name}=={version} \\\n    --hash=sha256:{sha256}\n")
    return "".join(sorted(lines))


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the lock file to write")
    parser.add_argument("--torch-index", help="address of a package index to take torch and torchvision from")
    parser.add_argument("--torch-build", help="the build of torch there, such as cpu")
    options = parser.parse_args()
    constraints = (ROOT / "constraints.txt").read_text()
    text = lock(resolved(requirements(constraints, options.torch_build), options.torch_index))
    system = f"{platform.python_implementation()} {sys.version_info[0]}.{sys.version_info[1]}, "
    system += f"{platform.system()} {platform.machine()}"
    header = f"# For {system}, written by .ci/lock.py: pip install --require-hashes --no-deps -r {options.file.name}\n"
    options.file.parent.mkdir(parents=True, exist_ok=True)
    temporary = options.file.with_name(f".{options.file.name}.new")
    temporary.write_text(header + text)
    temporary.replace(options.file)
    print(f"{options.file}: {text.count('==')} packages")


if __name__ == "__main__":
    main()
