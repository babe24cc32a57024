"""A real MLflow server for tests, clones that use it, and a connection to it that can be cut."""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from helpers.project import ROOT, environment
from helpers.promotions import write_data, write_params
from helpers.registered import free_port

NOTHING: Mapping[str, str] = {}
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # of language models, in a process of their own


@contextlib.contextmanager
def mlflow_server(
    folder: Path,
    database: str | None = None,
    *arguments: str,
    port: int = 0,
    variables: Mapping[str, str] = NOTHING,
) -> Iterator[str]:
    """`mlflow server` with proxied artifacts in `folder`, on sqlite or another database; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port, log = port or free_port(), folder / "server.log"
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database or f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), *arguments]
    cleared = environment(**NO_JOBS, **variables)
    cleared.pop("MLFLOW_TRACKING_URI", None)
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command, cwd=folder, env=cleared, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        wait_for(lambda: urllib.request.urlopen(f"{address}/health", timeout=5).read(), server, log)
        yield address
    finally:
        stop(server)


def wait_for(attempt: Callable[[], object], server: subprocess.Popen, log: Path) -> None:
    """Wait until an attempt to reach a server succeeds; fail with its log if it ends."""
    for _ in range(900):
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            attempt()
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def stop(server: subprocess.Popen, end: signal.Signals = signal.SIGTERM) -> None:
    """End a server and the processes that it started."""
    if server.poll() is None:
        os.killpg(server.pid, end)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(30)


def new_clone(folder: Path, network: str) -> Path:
    """A project's folder with a network's gate and checked data; the current folder stays."""
    (folder / "src/convzoo").mkdir(parents=True)  # by which a project is found
    with contextlib.chdir(folder):
        write_params(network)
        write_data()
    return folder


def copy_of(clone: Path, folder: Path) -> Path:
    """A second clone with the same files."""
    return Path(shutil.copytree(clone, folder))


def start(folder: Path, code: str, *arguments: str, **more: str) -> subprocess.Popen:
    """Python code in a process of its own in a clone, with pipes for its input and output."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=paths, **more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Connection:
    """A TCP port on this machine that leads to another one, until it is cut.

    `cut_after` is the number of bytes, in both directions together, after which it is cut by itself.
    """

    def __init__(self, port: int, cut_after: int | None = None) -> None:
        self.target, self.cut_after, self.passed, self.is_cut = port, cut_after, 0, False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listener.close()

    def cut(self) -> None:
        """Break all connections, and accept no more."""
        self.is_cut = True
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def restore(self, cut_after: int | None = None) -> None:
        """Let connections through again."""
        self.is_cut, self.cut_after, self.passed = False, cut_after, 0

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_cut:
                client.close()
                continue
            try:
                pair = (client, socket.create_connection(("127.0.0.1", self.target)))
            except OSError:
                client.close()
                continue
            self._pairs.append(pair)
            threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while ready := select.select([client, server], [], [])[0]:
                for end in ready:
                    data = end.recv(65536)
                    if not data or self.is_cut:
                        return
                    self.passed += len(data)
                    if self.cut_after is not None and self.passed > self.cut_after:
                        self.cut()
                        return
                    (server if end is client else client).sendall(data)
        except (OSError, ValueError):
            return
        finally:
            client.close()
            server.close()
