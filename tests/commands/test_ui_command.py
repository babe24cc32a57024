"""What convzoo starts listens on this machine only, unless told otherwise."""

import asyncio
import os
import re
import socket
import tomllib
from importlib import import_module
from types import SimpleNamespace

import pytest
from helpers.project import ROOT
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands import ui
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


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_ui_starts_in_the_mode_for_trainings_or_says_how(monkeypatch, is_installed):
    monkeypatch.setattr(store, "open_store", lambda: SimpleNamespace(tracking_uri="sqlite:///mlflow.db"))
    monkeypatch.setattr(ui, "entry_points", lambda **sought: [sought] if is_installed else [])
    started = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    answer = CliRunner().invoke(app, ["ui", "--port", "0"])
    assert (started[0][-6:-4] == ["--app-name", "convzoo"]) == is_installed
    assert ("choose Model training" in answer.output) != is_installed


def get(server, path: str) -> tuple[dict, bytes]:
    """The headers and the body that an ASGI application answers."""
    sent = []
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path, "root_path": ""}
    scope |= {"query_string": b"", "headers": [(b"host", b"localhost")], "server": ("localhost", 80), "client": None}

    async def receive():
        await asyncio.sleep(0 if not sent else 60)  # a body once, then a connection that stays open
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(asyncio.wait_for(server(scope, receive, send), 60))
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return headers, b"".join(message.get("body", b"") for message in sent)


def test_the_start_page_sets_the_mode_for_trainings_in_a_new_browser():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["mlflow.app"]
    module, _, name = declared[ui.APP].partition(":")
    server = getattr(import_module(module), name)
    headers, page = get(server, "/")
    assert page.startswith(b"<!doctype html>") and int(headers["content-length"]) == len(page)
    [script] = re.findall(r"<head><script>(.*?)</script>", page.decode(), re.DOTALL)
    assert '"mlflow.workflowType_v1": "machine_learning"' in script and "=== null" in script
    assert get(server, "/health")[1] == b"OK"


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
