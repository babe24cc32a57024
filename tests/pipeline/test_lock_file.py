"""Lock files: versions and hashes of all packages, from which an environment can be installed, and no address."""

import importlib.util
import re
import tomllib
from importlib.metadata import version

import pytest
from helpers.project import ROOT

LOCKS = sorted((ROOT / "locks").glob("*.txt"))
ENTRY = re.compile(r"([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}\n")
CONSTRAINTS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def lock():
    """The module .ci/lock.py."""
    spec = importlib.util.spec_from_file_location("lock", ROOT / ".ci/lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def item(name: str, version: str, sha256: str | None) -> dict:
    """A package in pip's report."""
    hashes = {"hashes": {"sha256": sha256}} if sha256 else {}
    address = "https://me:secret@index.example.org/files/x.whl"
    return {"metadata": {"name": name, "version": version}, "download_info": {"url": address, "archive_info": hashes}}


def test_a_lock_has_names_versions_and_hashes_and_no_address(lock):
    text = lock.lock([item("Zoo_Tool", "2.0", "b" * 64), item("apple", "1.0+cpu", "a" * 64)])
    assert text == (
        f"apple==1.0+cpu \\\n    --hash=sha256:{'a' * 64}\nzoo-tool==2.0 \\\n    --hash=sha256:{'b' * 64}\n"
    )


def test_a_package_without_a_hash_is_named(lock):
    with pytest.raises(SystemExit, match=r"apple 1\.0: the index gives no sha256, expected one"):
        lock.lock([item("apple", "1.0", None)])


def test_what_a_requirement_needs_is_locked_too_in_the_installed_version(lock):
    found = lock.installed(["pytest>=8", "colorama; sys_platform == 'win32'", "httpx2[none]"])
    assert found["pytest"] == version("pytest") and {"pluggy", "iniconfig", "httpx2"} <= found.keys()
    assert "colorama" not in found and "numpy" not in found


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.name)
def test_a_committed_lock_has_the_constrained_versions_of_all_requirements(lock, file):
    header, _, body = file.read_text().partition("\n")
    assert header.startswith("# For CPython 3.") and ENTRY.sub("", body) == "", "nothing but versions and hashes"
    assert not re.search(r"://|index|\.org|\.com", file.read_text())
    locked = dict(ENTRY.findall(body))
    constrained = {lock.NAME.sub("-", name).lower(): version for name, version in CONSTRAINTS.items()}
    differ = {name: version for name, version in locked.items() if constrained.get(name, version) != version}
    assert differ == {}, "run: make lock"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    names = {lock.NAME.sub("-", re.match(r"[\w.-]+", requirement)[0]).lower() for requirement in wanted}
    assert names - locked.keys() == set(), "run: make lock"


def test_there_is_a_lock_for_linux_with_cuda():
    [file] = [file for file in LOCKS if file.name == "linux-cuda.txt"]
    assert re.search(r"^nvidia-cudnn", file.read_text(), re.MULTILINE)
