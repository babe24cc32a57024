"""The table that `make test-gpu` writes: what each test found on the GPU, or that nothing was run for want of one."""

from importlib.metadata import version
from pathlib import Path

import pytest

TABLE = Path("reports/gpu.md")
NO_GPU = "Not run: this machine has no CUDA device"


class GpuTable:
    """A pytest plugin that writes `reports/gpu.md` after a run of the tests marked `gpu`."""

    def __init__(self, file: Path, device: str | None) -> None:
        """`device` is the name of the GPU; None where there is none."""
        self.file, self.device = file, device
        self.rows: list[tuple[str, str, str, str]] = []

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if self.device is None:
            self.rows = [(item.name, "not run", "", "") for item in items if item.get_closest_marker("gpu")]
            config.hook.pytest_deselected(items=list(items))
            items.clear()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.rpartition("::")[2]
            found = ", ".join(f"{key} {value}" for key, value in report.user_properties)
            self.rows.append((name, report.outcome, f"{report.duration:.1f}", found))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        header = ["| test | result | seconds | measured |", "| --- | --- | --- | --- |"]
        rows = [f"| {' | '.join(row)} |" for row in self.rows]
        about = f"On {self.device}, torch {version('torch')}." if self.device else f"{NO_GPU}."
        self.file.write_text("\n".join([about, "", *header, *rows, ""]), encoding="utf-8")
        if self.device is None:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.device is None:
            terminalreporter.write_line(f"{NO_GPU} ({len(self.rows)} tests)")
        terminalreporter.write_line(f"the table is in {TABLE}")
