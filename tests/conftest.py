"""What all tests share."""

from pathlib import Path
from typing import NamedTuple

import pytest
from gpu_table import TABLE, GpuTable
from project import ROOT, commit, convzoo, copy_project, dvc


class Rebuilt(NamedTuple):
    """A copy of the project after `dvc repro`, and what that said."""

    folder: Path
    told: str


def pytest_configure(config: pytest.Config) -> None:
    """`make test-gpu` writes a table of what it found."""
    if config.option.markexpr == "gpu":
        import torch  # here: other runs need not wait for it

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        config.pluginmanager.register(GpuTable(ROOT / TABLE, device), "gpu-table")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the rebuilt project stays in one process, where it is rebuilt once."""
    for item in items:
        if "rebuilt" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("rebuilt"))


@pytest.fixture(scope="session")
def rebuilt(tmp_path_factory) -> Rebuilt:
    """The profile `test` rebuilt from nothing, in a path with a space, and committed."""
    folder = copy_project(tmp_path_factory.mktemp("end to end") / "a clone")
    convzoo(folder, "profile", "test")
    told = dvc(folder, "repro")
    commit(folder, "what was rebuilt")
    return Rebuilt(folder, told)
