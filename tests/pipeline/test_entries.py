"""The entries of pipeline/ with wrong arguments: one line says what is wrong, what was expected and what to do."""

import runpy
import sys

import pytest
from helpers.project import ROOT

from convzoo.settings.load import read_params

PARAMS = read_params(ROOT / "params.yaml").values
OF_DATASETS = ("download", "prepare", "augment")
OF_NETWORKS = ("train", "export", "evaluate", "register")
ALONE = ("check", "validate", "report")
TAKES = {  # by stage, the argument and the section of params.yaml with the names that it may have
    **dict.fromkeys(OF_DATASETS, ("dataset", "data")),
    **dict.fromkeys(OF_NETWORKS, ("network", "networks")),
    "weights": ("weights", "weights"),
}


@pytest.fixture
def error_of(monkeypatch, capsys):
    """Runs an entry with arguments that it refuses; what it printed to stderr."""
    monkeypatch.chdir(ROOT)

    def run(stage: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"pipeline/{stage}.py", *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / f"pipeline/{stage}.py"), run_name="__main__")
        printed = capsys.readouterr()
        assert stopped.value.code == 1 and printed.out == ""
        return printed.err

    return run


def test_all_entries_are_tested():
    assert {*TAKES, *ALONE} == {file.stem for file in (ROOT / "pipeline").glob("*.py")}


@pytest.mark.parametrize("stage", TAKES)
def test_a_missing_an_unknown_and_one_name_too_many_are_named_with_those_expected(error_of, stage):
    kind, section = TAKES[stage]
    names = list(PARAMS[section])
    remedy = (
        f"expected one of: {', '.join(names)}; run: python pipeline/{stage}.py {kind.upper()}, or "
        f"convzoo repro {stage}@{kind.upper()}\n"
    )
    assert error_of(stage) == f"error: pipeline/{stage}.py: got no {kind}, {remedy}"
    assert error_of(stage, "nope") == f"error: pipeline/{stage}.py: got the {kind} 'nope', {remedy}"
    assert error_of(stage, names[0], names[0]) == f"error: pipeline/{stage}.py: got 2 arguments, {remedy}"


@pytest.mark.parametrize("stage", ALONE)
def test_an_entry_without_arguments_refuses_any(error_of, stage):
    remedy = f"expected none; run: python pipeline/{stage}.py, or convzoo repro {stage}\n"
    assert error_of(stage, "nope") == f"error: pipeline/{stage}.py: got the argument 'nope', {remedy}"
    assert error_of(stage, "a", "b") == f"error: pipeline/{stage}.py: got 2 arguments, {remedy}"
