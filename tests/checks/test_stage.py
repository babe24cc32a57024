"""Which stages run with the environment of portable results."""

import sys
from pathlib import Path

import pytest
from helpers.project import ROOT

from convzoo.checks import stage
from convzoo.settings.load import PARAMS

STAGES = sorted(file.stem for file in (ROOT / "pipeline").glob("*.py"))


@pytest.fixture
def restarts(tmp_path, monkeypatch):
    """The names of the stages that would start themselves again."""
    found = []
    monkeypatch.setattr(stage, "restart_with_levers", lambda: found.append(Path(sys.argv[0]).stem))
    for name in ("check_arguments", "verify"):
        monkeypatch.setattr(stage, name, lambda *arguments: None)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.mark.parametrize("portable", ["true", "false"])
def test_every_stage_that_computes_has_it_and_a_training_only_if_it_should_be_portable(restarts, monkeypatch, portable):
    text = (ROOT / "params.yaml").read_text()
    assert "portable: true" in text
    Path(PARAMS).write_text(text.replace("portable: true", f"portable: {portable}"))
    ran = []
    for name in STAGES:
        monkeypatch.setattr(sys, "argv", [f"pipeline/{name}.py"])
        stage.main(lambda name=name: ran.append(name))
    assert ran == STAGES
    expected = set(STAGES) - {"check", "register"} - ({"train"} if portable == "false" else set())
    assert set(restarts) == expected and len(restarts) == len(expected)
