"""Tracking stores that fail and are mended: a server that goes away, a database that is locked, a disk that is full."""

import sqlite3
import subprocess
import sys
import threading

from convzoo.tracking import store  # before mlflow: what it reads when it is imported is set there

# isort: split
import pytest
from mlflow.server import app, handlers
from sqlalchemy import Engine, event
from werkzeug.serving import make_server

HOLD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
WAIT = 0.2  # seconds, where a store waits 20 for a lock


class Down:
    """A real server in front of the database; broken, its port refuses connections."""

    reason = "failed with exception HTTPConnectionPool"

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        patched.setenv("_MLFLOW_SERVER_FILE_STORE", store.tracking_uri())
        for variable in ("_MLFLOW_SERVER_ARTIFACT_ROOT", "_MLFLOW_SERVER_ARTIFACT_DESTINATION"):
            patched.setenv(variable, store.artifact_root(store.tracking_uri()))
        patched.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
        patched.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        for remembered in ("_tracking_store", "_model_registry_store", "_artifact_repo"):  # of a test before
            patched.setattr(handlers, remembered, None)
        # A server in the process of its client: what it settles for itself is not the client's business.
        patched.setattr(handlers.utils, "set_tracking_uri", lambda _: None)
        patched.setattr(handlers.registry_utils, "set_registry_uri", lambda _: None)
        self.port = 0
        self.restore()
        patched.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{self.port}")

    def restore(self) -> None:
        self.server = make_server("127.0.0.1", self.port, app, threaded=True)
        self.port = self.server.port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def fail(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def close(self) -> None:
        if self.thread.is_alive():
            self.fail()


class Locked:
    """The clone's database; broken, another process holds it, for longer than anybody waits."""

    reason = "database is locked"

    def __init__(self, patched: pytest.MonkeyPatch, file: str = "mlruns/mlflow.db") -> None:
        self.file = file
        self.process = None
        patched.setattr(store, "DATABASE_WAIT", WAIT)
        event.listen(Engine, "before_cursor_execute", self._impatient, retval=True)

    @staticmethod
    def _impatient(connection, cursor, statement, parameters, context, many):
        return statement.replace("busy_timeout = 20000", f"busy_timeout = {int(WAIT * 1000)}"), parameters

    def fail(self) -> None:
        command = [sys.executable, "-c", HOLD, self.file]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "held\n"

    def restore(self) -> None:
        self.process.communicate()
        self.process = None

    def close(self) -> None:
        if self.process:
            self.restore()
        event.remove(Engine, "before_cursor_execute", self._impatient)


class Full:
    """The clone's database; broken, it says that the disk is full whenever something is written."""

    reason = "database or disk is full"

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.full = False
        for kind in ("do_execute", "do_executemany"):
            event.listen(Engine, kind, self._write)

    def _write(self, cursor, statement, parameters, context) -> None:
        if self.full and statement.startswith(("INSERT", "UPDATE", "DELETE")):
            raise sqlite3.OperationalError("database or disk is full")

    def fail(self) -> None:
        self.full = True

    def restore(self) -> None:
        self.full = False

    def close(self) -> None:
        for kind in ("do_execute", "do_executemany"):
            event.remove(Engine, kind, self._write)
