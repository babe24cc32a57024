"""A real server in a process of its own: how it starts, what it prints, and how it ends."""

import json
import signal
import socket
import threading
import tomllib
import urllib.request

import pytest
from helpers.project import ROOT, convzoo
from helpers.served import get, server, wait_until
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands.shadow import ask
from convzoo.errors import ConvzooError

MANY = 300_000  # images, whose answer takes about a second


def underway(address: str) -> float:
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("convzoo_requests_underway "))


def refuses(address: str) -> bool:
    host, port = address.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except OSError:
        return True
    return False


def test_on_sigterm_it_finishes_what_runs_and_refuses_what_comes(zoo, tmp_path):
    answers = []
    with server(tmp_path, "--models", str(zoo), "--max-images", str(MANY)) as (address, process, log):

        def sample() -> None:
            body = json.dumps({"count": MANY}).encode()
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{address}/v1/maker/sample", body, headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                answers.append(json.load(answer)["images"]["shape"])

        asking = threading.Thread(target=sample)
        asking.start()
        wait_until(lambda: underway(address) == 1)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(address))
        asking.join()
        assert answers == [[MANY, 8, 8, 3]]
        assert process.wait(30) == 0
        assert "Traceback" not in log.read_text()


def test_ctrl_c_ends_it_too(zoo, tmp_path):
    with server(tmp_path, "--models", str(zoo)) as (address, process, log):
        assert get(f"{address}/healthz") == {"status": "ok"}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130, -signal.SIGINT)
        assert "Traceback" not in log.read_text()


def test_a_port_that_is_taken_is_named(zoo, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = ("serve", "--models", str(zoo), "--port", port)
        printed = convzoo(tmp_path, *command, expected=1, PYTHONPATH=str(ROOT / "src"))
    assert printed.startswith(f"error: 127.0.0.1:{port}: no server can listen there")


WRONG = {
    "a host": (["--host", "0.0.0.0"], "error: --host 0.0.0.0: other machines could ask, expected a token"),
    "a shadow": (["--shadow", "candidate"], "error: --shadow: a folder has no aliases, expected registered versions"),
    "a network": (["cats"], "error: cats: there is no such network to serve, expected one of: copier, maker, pets"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_served_is_an_error(zoo, monkeypatch, what):
    monkeypatch.delenv("CONVZOO_TOKEN", raising=False)
    arguments, message = WRONG[what]
    result = CliRunner().invoke(app, ["serve", "--models", str(zoo), "--port", "0", *arguments])
    assert result.exit_code == 1 and result.stderr.startswith(message)


def test_outside_a_project_a_folder_is_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 1
    assert (
        "is not in a convzoo project" in result.stderr and "or name a folder of networks: --models DIR" in result.stderr
    )


def test_away_from_loopback_it_asks_for_the_token(zoo, tmp_path, monkeypatch):
    token = "a-token-of-some-length"
    arguments = ("--models", str(zoo), "--host", "0.0.0.0", "--allow-host", "zoo.example.org")
    with server(tmp_path, *arguments, CONVZOO_TOKEN=token) as (address, _, _):
        address = address.replace("0.0.0.0", "127.0.0.1")
        assert get(f"{address}/v1/models")["error"].startswith("the request has no token or a wrong one")
        monkeypatch.delenv("CONVZOO_TOKEN", raising=False)
        with pytest.raises(ConvzooError, match="the request has no token"):
            ask(address, "pets")
        monkeypatch.setenv("CONVZOO_TOKEN", token)
        with pytest.raises(ConvzooError, match="pets: no other version runs in the shadow"):
            ask(address, "pets")


def test_a_light_installation_asks_for_the_versions_of_the_whole_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    assert set(groups["serve"]) < set(project["project"]["dependencies"])
    included, *more = groups["serve-log"]
    assert included == {"include-group": "serve"} and set(more) < set(project["project"]["dependencies"])
