"""What convzoo starts listens on this machine only, unless told otherwise."""

import os
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.tracking import store

# isort: split
from mlflow.models.cli import commands


@pytest.mark.parametrize(
    ("arguments", "expected"), [([], "127.0.0.1"), (["--host", "0.0.0.0"], "0.0.0.0"), (["--port", "0"], "127.0.0.1")]
)
def test_the_ui_listens_where_it_is_told_to_or_on_this_machine(monkeypatch, arguments, expected):
    monkeypatch.setattr(store, "open_store", lambda: SimpleNamespace(tracking_uri="sqlite:///mlflow.db"))
    started = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    answer = CliRunner().invoke(app, ["ui", *arguments])
    assert answer.exit_code == 0, answer.output
    [command] = started
    assert command[command.index("--host") + 1] == expected


def test_the_model_server_listens_on_this_machine():
    [host] = [option for option in commands.commands["serve"].params if option.name == "host"]
    assert host.default == "127.0.0.1"
