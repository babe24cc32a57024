"""The summary of a pull request: the metrics and params that differ from its base, as .ci/differences prints them."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = "stages: {evaluate: {cmd: echo, params: [rate], metrics: [models/net/metrics.json: {cache: false}]}}\n"
IGNORED = (ROOT / ".gitignore").read_text()


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """Commits a project with a rate in params.yaml and, unless it is None, an accuracy in models/net/metrics.json."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "test")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "test@localhost")
    Path(".dvc").mkdir()
    Path(".dvc/config").touch()
    Path("dvc.yaml").write_text(STAGES)
    Path("models/net").mkdir(parents=True)
    Path(".gitignore").write_text(IGNORED)
    Path("models/net/model.onnx").touch()
    subprocess.run(["git", "init", "-q"], check=True)

    def make(tag: str, rate: float, accuracy: float | None) -> None:
        Path("params.yaml").write_text(f"rate: {rate}\n")
        if accuracy is not None:
            Path("models/net/metrics.json").write_text(f'{{"test_accuracy": {accuracy}}}\n')
        for command in (["add", "-A"], ["commit", "-q", "-m", tag, "--allow-empty"], ["tag", tag]):
            subprocess.run(["git", *command], check=True)

    return make


def differences(base: str, merged: str) -> list[list[str]]:
    """The rows of both tables, without their headers."""
    script = ["bash", str(ROOT / ".ci/differences"), base, merged]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("## Metrics\n") and "\n## Params\n" in printed
    return [re.findall(r"[^| ]+", line) for line in printed.splitlines() if re.match(r"\| (models|params)", line)]


def test_changed_metrics_and_params_are_listed(commit):
    commit("base", rate=0.2, accuracy=0.5)
    commit("merged", rate=0.1, accuracy=0.75)
    assert differences("base", "merged") == [
        ["models/net/metrics.json", "test_accuracy", "0.5", "0.75", "0.25"],
        ["params.yaml", "rate", "0.2", "0.1"],
    ]
    tracked = subprocess.run(["git", "ls-files", "models"], capture_output=True, text=True, check=True).stdout
    assert tracked.split() == ["models/net/metrics.json"], "git ignores everything else in models/"


def test_a_base_without_metrics_is_no_error(commit):
    commit("base", rate=0.2, accuracy=None)
    commit("merged", rate=0.2, accuracy=0.75)
    assert differences("base", "merged") == [["models/net/metrics.json", "test_accuracy", "-", "0.75", "-"]]
