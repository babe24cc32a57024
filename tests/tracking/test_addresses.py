"""Tracking addresses that lead nowhere: one message with the remedy that fits, and `predict` uses models/."""

import re
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers.registered import identity_of
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from convzoo.errors import explained
from convzoo.tracking import store
from convzoo.tracking.live import LiveRun
from convzoo.tracking.registry import register
from convzoo.tracking.sync import orphans
from convzoo.tracking.versions import find_model

LOGIN, NO_MLFLOW = "set MLFLOW_TRACKING_USERNAME", "there is no MLflow server: check host, port and path"
DOWN, BROKEN = "it does not answer: start it", "has an internal problem: look at its log"
ADDRESSES = {
    "SERVER/401": LOGIN,
    "SERVER/403": LOGIN,
    "SERVER/html": NO_MLFLOW,
    "SERVER/json": NO_MLFLOW,
    "SERVER/404": NO_MLFLOW,
    "SERVER/500": BROKEN,
    "SERVER/503": BROKEN,
    "https://SERVER": "write http:// instead of https://",
    "http://127.0.0.1:9": DOWN,
    " http://127.0.0.1:9 ": DOWN,
    "http://no.such.host.invalid:5000": DOWN,
    "127.0.0.1:5000": "set MLFLOW_TRACKING_URI=http://127.0.0.1:5000",
    "localhost:5000": "set MLFLOW_TRACKING_URI=http://localhost:5000",
    "mlflow.example.org": "set MLFLOW_TRACKING_URI=http://mlflow.example.org",
    "my-server:5000/mlflow": "set MLFLOW_TRACKING_URI=http://my-server:5000/mlflow",
    "http://": "names no host",
    "http://[::1": "is no address",
    "http://host:port": "is no address",
    "postgresql://a:secret@host/db": r"needs the Python package (psycopg\[binary\]|psycopg2-binary).*pip install",
    "postgresql+psycopg2://host/db": "needs the Python package psycopg2-binary",
    "mysql://host/db": "needs the Python package mysqlclient",
    "mysql+pymysql://host/db": "needs the Python package pymysql",
    "mssql+pyodbc://host/db": "needs the Python package pyodbc",
    "postgresql://host:port/db": "correct MLFLOW_TRACKING_URI",
    "mysql+nonsense://host/db": "correct MLFLOW_TRACKING_URI",
    "foo://host": "has the unknown scheme foo",
    "/some/folder": "is a folder, which MLflow no longer writes to",
    "file:///some/folder": "is a folder, which MLflow no longer writes to",
    "mlruns": "is a folder, which MLflow no longer writes to",
    "sqlite://": "nothing would be kept",
    "sqlite:///": "nothing would be kept",
    "sqlite:///:memory:": "nothing would be kept",
}


class Handler(BaseHTTPRequestHandler):
    """Answers with the status or the kind of content that the path begins with."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.path.split("/")[1]
        body = b"{}" if kind == "json" else b"<html>please log in</html>"
        self.send_response(int(kind) if kind.isdigit() else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_):
        pass


@contextmanager
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def running():
    with server() as address:
        yield address


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_remedy_fits(address, running, write_network, monkeypatch, capsys):
    write_network("reached", 1)
    # As without the drivers, whatever is installed.
    for name in ("psycopg", "psycopg2", "MySQLdb", "pymysql", "pyodbc"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = address.replace("SERVER", running if "//" in address else f"http://{running}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    warning = register("reached", warn=True)
    assert warning.startswith("warning: reached: not registered (") and "\n" not in warning
    assert warning.endswith("; the pipeline continues") and "run: convzoo sync" in warning
    with LiveRun("reached", identity_of(1), {}) as run:
        run.log(1, {"train_loss": 1.0})
    (live,) = capsys.readouterr().err.splitlines()
    model = find_model("reached")
    assert model.file == Path("models/reached/model.onnx")
    assert "models/reached/model.onnx, since the registry cannot be used: " in model.title
    told = [warning, live, model.title]
    for look in (lambda: find_model("reached@champion"), lambda: orphans({"reached"}), store.open_store):
        with pytest.raises(store.TrackingError) as caught:
            look()
        told.append(str(explained(caught.value)))
    for text in told:
        assert re.search(ADDRESSES[address], text), text
    assert "secret" not in warning + live + model.title


def test_a_server_that_fails_later_has_its_remedy_too(running, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    client = MlflowClient(tracking_uri=f"http://{running}/401")
    with pytest.raises(store.TrackingError, match=LOGIN), store.failures_raised_as("it failed"):
        client.search_registered_models()
    with pytest.raises(MlflowException) as caught:
        client.search_registered_models()
    assert "MLflow's store failed" in str(explained(caught.value))
