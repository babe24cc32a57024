"""A run's name: what differs from params.yaml as committed, in short."""

import subprocess
from pathlib import Path

import pytest

from convzoo.settings.load import read_params
from convzoo.tracking.labels import changed_params, run_name

PARAMS = """profile: test
compute: {threads: 2}
data:
  shapes: {source: drawn, prepare: {seed: 0}, augment: {variants: 1}, validate: {min_images: 5}}
networks:
  net:
    data: shapes
    architecture: fast
    fast: {widths: [4, 8], dirac: true}
    reference: {dense: 100}
    optimizer: sgd
    learning_rate: 1e-1
  other: {data: shapes, learning_rate: 1}
"""


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """The current folder is a git repository with one commit of params.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    Path("params.yaml").write_text(PARAMS)
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")


def git(*arguments: str) -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def changed(*replaced: tuple[str, str], network: str = "net") -> dict:
    """What differs after so many words of params.yaml were replaced."""
    text = PARAMS
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    Path("params.yaml").write_text(text)
    return changed_params(network, read_params().values)


def test_a_run_of_what_is_committed_is_named_so_and_by_its_commit():
    assert changed() == {}
    assert run_name(changed(), None, "3d56737") == "as committed 3d56737"


def test_what_differs_is_named_and_in_an_experiment_its_name_too():
    found = changed(("1e-1", "0.02"), ("[4, 8]", "[4, 16]"))
    assert run_name(found, "wet-sock", "3d56737") == "fast.widths=[4,16] learning_rate=0.02 wet-sock 3d56737"


def test_of_many_differences_three_are_named():
    found = changed(("1e-1", "1"), ("sgd", "adam"), ("dirac: true", "dirac: false"), ("threads: 2", "threads: 1"))
    assert run_name(found, "3d56737") == "fast.dirac=false optimizer=adam learning_rate=1 +1 more 3d56737"


@pytest.mark.parametrize(
    ("replaced", "expected"),
    [
        (("1e-1", "0.10"), {}),
        (("profile: test", "profile: full"), {"profile": "full"}),
        (("threads: 2", "threads: auto"), {"threads": "auto"}),
        (("variants: 1", "variants: 2"), {"data.augment.variants": 2}),
        (("source: drawn", "source: photos"), {"data.source": "photos"}),
        (("min_images: 5", "min_images: 6"), {}),
        (("{dense: 100}", "{dense: 7}"), {}),
        (("architecture: fast", "architecture: reference"), {"architecture": "reference"}),
        (("learning_rate: 1}", "learning_rate: 2}"), {}),
    ],
)
def test_what_decides_a_training_is_told_and_nothing_else(replaced, expected):
    assert changed(replaced) == expected


def test_an_experiment_is_held_against_its_baseline(monkeypatch):
    baseline = git("rev-parse", "HEAD")
    assert changed(("1e-1", "0.02")) == {"learning_rate": 0.02}
    git("commit", "-q", "-a", "-m", "second")
    assert changed(("1e-1", "0.02")) == {}
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", baseline)
    assert changed(("1e-1", "0.02")) == {"learning_rate": 0.02}


def test_without_a_commit_to_hold_it_against_nothing_differs(tmp_path, monkeypatch):
    assert changed(("  net:", "  new:"), network="new") == {}
    Path("params.yaml").write_text("networks: [")
    git("commit", "-q", "-a", "-m", "broken")
    assert changed(("1e-1", "0.02")) == {}
    (tmp_path / "no repository").mkdir()
    monkeypatch.chdir(tmp_path / "no repository")
    assert changed(("1e-1", "0.02")) == {}
