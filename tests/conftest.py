"""What all tests share."""

import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock
from helpers.gpu_table import TABLE, GpuTable
from helpers.project import ROOT, commit, convzoo, copy_project, dvc, git

from convzoo.portable import LEVERS

# Before torch is imported. No stage that a test starts then starts itself again; one that runs in this process would
# take its place.
os.environ.update(LEVERS)


class Rebuilt(NamedTuple):
    """A copy of the project after `dvc repro`, what that printed, and what each of its stages did."""

    folder: Path
    output: str
    steps: Path  # a folder; helpers/steps.py


def pytest_configure(config: pytest.Config) -> None:
    """Ctrl-C reaches what the tests start; `make test-gpu` writes a table of what it found."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs them in the background ignores it
    if config.option.markexpr == "gpu":
        import torch  # here: other runs need not wait for it

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        config.pluginmanager.register(GpuTable(ROOT / TABLE, device), "gpu-table")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One test begins with the rebuild that many share; the others of them come last, when it is there."""
    items.sort(key=_needs_rebuild)
    first = next((number for number, item in enumerate(items) if _needs_rebuild(item)), 0)
    items.insert(0, items.pop(first))


def _needs_rebuild(item: pytest.Item) -> bool:
    return "rebuilt" in getattr(item, "fixturenames", ())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m gpu` reads no other tests: a machine with a GPU may lack the packages that they import."""
    if config.option.markexpr != "gpu":
        return None
    files = collection_path.rglob("test_*.py") if collection_path.is_dir() else [collection_path]
    return None if any("mark.gpu" in file.read_text(encoding="utf-8") for file in files) else True


@pytest.fixture(scope="session")
def rebuilt(tmp_path_factory, worker_id) -> Rebuilt:
    """The profile `test` rebuilt from nothing, in a path with a space, and committed; once for all test processes."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    folder, output, steps = shared / "end to end" / "a clone", shared / "output.txt", shared / "steps"
    with FileLock(shared / "rebuilt.lock"):
        if not output.exists():
            copy_project(folder)
            watch = Path(shutil.copy(Path(__file__).with_name("helpers") / "steps.py", folder / "src/sitecustomize.py"))
            commit(folder, "stages are watched")
            convzoo(folder, "profile", "test")
            steps.mkdir()
            printed = dvc(folder, "repro", STEPS=str(steps))
            watch.unlink()
            commit(folder, "what was rebuilt")
            git(folder, "repack", "-a", "-d", "-q")  # fewer files to copy for `clone`, and to remove
            output.write_text(printed)
    return Rebuilt(folder, output.read_text(), steps)


@pytest.fixture
def clone(rebuilt, tmp_path):
    """A copy of the rebuilt project with all that it made, to change at will."""
    return Path(shutil.copytree(rebuilt.folder, tmp_path / "clone", symlinks=True, copy_function=_copy))


def _copy(source: str, target: str) -> None:
    """Copy a file; one that nobody writes to again, in the caches of DVC and git, becomes a hard link."""
    is_final = "/.dvc/cache/files/" in source or "/.git/objects/" in source
    os.link(source, target) if is_final else shutil.copy2(source, target)
