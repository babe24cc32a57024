"""What convzoo starts listens on this machine only, unless told otherwise."""

import os
import socket
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
    has_port = "--port" not in arguments
    assert answer.output == f"open http://{expected}:5000 in your browser; Ctrl-C stops it\n" * has_port


def test_the_model_server_listens_on_this_machine():
    [host] = [option for option in commands.commands["serve"].params if option.name == "host"]
    assert host.default == "127.0.0.1"


def taken() -> socket.socket:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def test_an_address_where_nothing_can_listen_is_an_error_before_mlflow_starts(monkeypatch):
    monkeypatch.setattr(store, "open_store", lambda: SimpleNamespace(tracking_uri="sqlite:///mlflow.db"))
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("started"))
    with taken() as server:
        port = str(server.getsockname()[1])
        cases = [(["--port", port], 1), (["--host", "192.0.2.1"], 1), (["--host", "no.such.host.invalid"], 1)]
        for arguments, code in [*cases, (["--port", "99999"], 2), (["--port", "-1"], 2)]:
            answer = CliRunner().invoke(app, ["ui", *arguments])
            assert answer.exit_code == code, answer.output
            assert ("choose others with --host and --port" if code == 1 else "--port") in answer.output
