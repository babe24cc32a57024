"""The demo's files, headers and links, what it asks the API for, and the command that opens it."""

import base64
import http.server
import os
import re
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, convzoo
from helpers.served import get, images, server, wait_until
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.commands import demo
from convzoo.serving.demo_page import FOLDER, answers_as_mlflow
from convzoo.shipping.model import Model

FILES = sorted(file.name for file in FOLDER.iterdir())
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
OTHER_MACHINE = re.compile(r"(https?:)?//(?!www\.w3\.org/2000/svg)[\w.-]+\.\w+")


def decoded(pixels: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(pixels["base64"]), np.uint8).reshape(pixels["shape"])


@pytest.fixture
def mlflow():
    """Starts servers that answer /health with a given text; their addresses."""
    servers = []

    def start(answer: bytes) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/health" else 404)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for one in servers:
        one.shutdown()
        one.server_close()


def test_the_root_leads_to_the_demo(client):
    assert client.get("/", follow_redirects=False).headers["Location"] == "/demo/"
    assert client.get("/demo").url.path == "/demo/"


@pytest.mark.parametrize("name", ["", *FILES])
def test_every_file_of_the_page_is_served_and_bound_to_this_server(client, name):
    answer = client.get(f"/demo/{name}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(TYPES[Path(name or "index.html").suffix])
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert {policy.pop(f"{kind}-src") for kind in ("script", "style", "img", "connect")} == {"'self'"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache", "a browser would keep the page of an older version"


@pytest.mark.parametrize("name", FILES)
def test_no_file_of_the_page_names_another_machine(name):
    assert not OTHER_MACHINE.search((FOLDER / name).read_text())


def test_the_page_has_no_inline_script_or_style_and_refers_to_files_that_exist():
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    imported = [name for file in FOLDER.glob("*.js") for name in re.findall(r'from "\./([^"]+)"', file.read_text())]
    assert {*re.findall(r'(?:src|href)="([^"#]+)"', page), *imported, "index.html"} == set(FILES)


def test_the_package_contains_the_page():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    package = ROOT / "src/convzoo/serving"
    packaged = {file for pattern in patterns["convzoo.serving"] for file in package.glob(pattern)}
    assert {file.name for file in packaged} == set(FILES)


def test_a_path_outside_the_page_is_refused(client):
    answer = client.get("/demo/..%2fapp.py")
    assert answer.status_code == 404 and "error" in answer.json()


def test_the_report_is_shown_if_there_is_one(start, tmp_path):
    file = tmp_path / "reports/index.html"
    client = start(report=file)
    assert client.get("/demo/links.json").json()["report"] is None
    assert client.get("/report").status_code == 404
    assert client.get("/report").json()["error"] == (
        "/report: there is no report, expected reports/index.html of a project; to write it, run: convzoo repro report"
    )
    file.parent.mkdir()
    file.write_text("<p>results</p>")
    assert client.get("/demo/links.json").json()["report"] == "/report"
    assert client.get("/report").text == "<p>results</p>"
    assert "script-src" not in client.get("/report").headers["Content-Security-Policy"]
    assert client.get("/report").headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert client.post("/report").status_code == 405


def test_mlflow_is_linked_only_if_it_answers(start, mlflow, unused_address):
    for address, expected in ((mlflow(b"OK"), True), (mlflow(b"a page"), False), (unused_address, False)):
        client = start(mlflow=address)
        assert client.get("/demo/links.json").json()["mlflow"] == (address if expected else None)
    assert start().get("/demo/links.json").json()["mlflow"] is None
    assert not answers_as_mlflow("no address")


def test_mlflow_on_this_machine_is_not_linked_for_a_browser_on_another(start, mlflow):
    client = start(mlflow=mlflow(b"OK"), hosts=("zoo.example.org",))
    for host, expected in (
        ("localhost:8000", True),
        ("[::1]:8000", True),
        ("zoo.example.org", False),
        ("10.1.2.3", False),
    ):
        assert bool(client.get("/demo/links.json", headers={"Host": host}).json()["mlflow"]) is expected


def test_mlflow_is_asked_without_a_proxy(mlflow, monkeypatch, unused_address):
    monkeypatch.setenv("http_proxy", unused_address)
    assert answers_as_mlflow(mlflow(b"OK"))


@pytest.fixture
def unused_address() -> str:
    """Where nothing listens."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as closed:
        return f"http://127.0.0.1:{closed.server_port}"


@pytest.mark.parametrize(("path", "channels"), [("pets/predict", 1), ("copier/reconstruct", 3)])
def test_an_answer_contains_the_images_as_the_network_got_them_if_asked_for(client, path, channels):
    given = images(3, channels)
    body = {"images": given.tolist()}
    assert np.array_equal(decoded(client.post(f"/v1/{path}?inputs=true", json=body).json()["inputs"]), given)
    assert "inputs" not in client.post(f"/v1/{path}", json=body).json()
    if channels == 1:
        inverted = client.post(f"/v1/{path}?inputs=true&invert=true", json=body).json()
        assert np.array_equal(decoded(inverted["inputs"]), 255 - given)


def test_a_seed_gives_its_latents_if_asked_for_and_they_give_its_images(client, zoo):
    asked = {"count": 3, "seed": 7}
    answer = client.post("/v1/maker/sample?inputs=true", json=asked).json()
    latents = np.array(answer["inputs"], np.float32)
    assert np.array_equal(Model(zoo / "maker/model.onnx")(latents), decoded(answer["images"]))
    assert "inputs" not in client.post("/v1/maker/sample", json=asked).json()


def test_the_command_serves_and_opens_the_page(zoo, tmp_path):
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{opened}"\n')
    browser.chmod(0o755)
    with server(tmp_path, "--models", str(zoo), command="demo", BROWSER=str(browser)) as (address, _, _):
        wait_until(lambda: opened.exists() and opened.read_text().endswith("\n"))
        assert opened.read_text() == f"{address}/demo/\n"
        assert get(f"{address}/demo/links.json")["report"] is None


def test_without_a_browser_nothing_is_opened(monkeypatch):
    given = []
    monkeypatch.setattr(demo, "serve", lambda *arguments, **options: given.append((arguments, options)))
    for arguments in ([], ["--no-browser"], ["pets", "--mlflow", "http://127.0.0.1:5005"]):
        assert CliRunner().invoke(app, ["demo", "--port", "0", *arguments]).exit_code == 0
    assert [options["on_start"] for _, options in given] == [demo.open_page, None, demo.open_page]
    assert [arguments[1] for arguments, _ in given] == [("127.0.0.1", 0)] * 3
    assert given[2][0][0] == ["pets"] and given[2][1]["mlflow"] == "http://127.0.0.1:5005"


def test_both_commands_hand_over_the_report_of_the_project_and_mlflow(tmp_path, monkeypatch):
    (tmp_path / "src/convzoo").mkdir(parents=True)  # by which a project is found
    monkeypatch.chdir(tmp_path)
    given = []
    monkeypatch.setattr("convzoo.serving.run.run", lambda *_, **options: given.append(options))
    for arguments in (["serve"], ["demo"], ["serve", "--models", ".", "--mlflow", "http://127.0.0.1:5005"]):
        assert CliRunner().invoke(app, [*arguments, "--port", "0"]).exit_code == 0
    report = tmp_path / "reports/index.html"
    assert [options["report"] for options in given] == [report, report, None]
    assert [options["mlflow"] for options in given] == 2 * ["http://127.0.0.1:5000"] + ["http://127.0.0.1:5005"]
    assert [options.get("on_start") for options in given] == [None, demo.open_page, None]


def test_a_port_that_is_taken_is_an_error_with_what_to_do(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as taken:
        result = CliRunner().invoke(app, ["demo", "--port", str(taken.server_port)])
    assert result.exit_code == 1
    assert result.stderr.endswith("; stop what listens there, or choose another port with --port\n")


def test_without_networks_the_message_says_what_to_run(tmp_path):
    (tmp_path / "src/convzoo").mkdir(parents=True)  # by which a project is found
    settings = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "PYTHONPATH": str(ROOT / "src")}
    printed = convzoo(tmp_path, "demo", "--no-browser", "--port", "0", expected=1, **settings)
    assert printed.splitlines()[-1].endswith("to train and register networks, run: convzoo repro"), os.linesep + printed
