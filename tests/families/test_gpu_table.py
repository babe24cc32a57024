"""What `make test-gpu` says, with a GPU and without."""

from types import SimpleNamespace

import pytest
from helpers.gpu_table import GpuTable


def told(name: str, outcome: str = "passed", when: str = "call", **measured) -> SimpleNamespace:
    return SimpleNamespace(
        nodeid=f"tests/test_gpu.py::{name}", when=when, outcome=outcome, duration=1.25, user_properties=measured.items()
    )


def test_with_a_gpu_the_table_holds_what_each_test_measured(tmp_path):
    table = GpuTable(tmp_path / "gpu.md", "a device")
    table.pytest_runtest_logreport(told("test_agrees", when="setup"))
    table.pytest_runtest_logreport(told("test_agrees", difference=0.01))
    table.pytest_runtest_logreport(told("test_resumes", "failed"))
    table.pytest_sessionfinish(SimpleNamespace(exitstatus=1))
    text = (tmp_path / "gpu.md").read_text()
    assert text.startswith("On a device, torch ")
    assert text.splitlines()[4:] == [
        "| test_agrees | passed | 1.2 | difference 0.01 |",
        "| test_resumes | failed | 1.2 |  |",
    ]


def test_without_a_gpu_nothing_runs_and_the_table_says_so(tmp_path):
    item = SimpleNamespace(name="test_agrees", get_closest_marker=lambda name: name == "gpu")
    config = SimpleNamespace(hook=SimpleNamespace(pytest_deselected=lambda items: None))
    table, items, session = GpuTable(tmp_path / "gpu.md", None), [item], SimpleNamespace(exitstatus=5)
    table.pytest_collection_modifyitems(config, items)
    table.pytest_sessionfinish(session)
    assert items == [] and session.exitstatus == pytest.ExitCode.OK
    text = (tmp_path / "gpu.md").read_text()
    assert text.startswith("Not run: this machine has no CUDA device.")
    assert "| test_agrees | not run |" in text
