"""Writes a lock file: the version and the sha256 of every package that this environment needs.

The versions are those that are installed, so those that were tested; pip reports the hashes of their files. The file
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
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"[-_.]+")


def requirements() -> list[str]:
    """The requirements of the package, of its development, and of its build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    return found + project["build-system"]["requires"]


def installed(wanted: list[str]) -> dict[str, str]:
    """The installed version of each package that is wanted or that another of them needs, by its normal name."""
    versions: dict[str, str] = {}
    seen, waiting = set(), [(Requirement(text), "") for text in wanted]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = NAME.sub("-", requirement.name).lower()
        for of_extra in {"", *requirement.extras}:
            if (name, of_extra) not in seen:
                seen.add((name, of_extra))
                found = distribution(requirement.name)
                versions[name] = found.version
                waiting += [(Requirement(text), of_extra) for text in found.requires or ()]
    return versions


def reported(versions: dict[str, str], index: str | None) -> list[dict]:
    """What pip would install of these versions."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--no-deps", "--report", str(report)]
        command += ["--extra-index-url", index] if index else []
        pins = [f"{name}=={version}" for name, version in sorted(versions.items())]
        if subprocess.run([*command, *pins], cwd=ROOT).returncode:
            sys.exit("pip does not find these versions; fix what it says above")
        return json.loads(report.read_text())["install"]


def lock(packages: list[dict]) -> str:
    """The lines of the lock file. Exits with a message if a package has no sha256."""
    lines = []
    for item in packages:
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
    options = parser.parse_args()
    text = lock(reported(installed(requirements()), options.torch_index))
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
