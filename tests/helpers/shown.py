"""A project with runs to look at: the digits' classifier twice and their DCGAN, on the profile starter."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convzoo.tracking import store  # noqa: F401 (before mlflow: what it reads when it is imported is set there)
from helpers.project import commit, convzoo, copy_project, dvc, environment

# isort: split
from mlflow import MlflowClient

CLASSIFIER, DCGAN = "mnist-classifier", "mnist-dcgan"
VARIANT, RATE, VARIANT_RATE = "slower", "0.2", "0.02"  # an experiment, and learning rates
EPOCHS = 3  # of the DCGAN, which has a picture of each of them


def build(folder: Path, epochs: int | None = EPOCHS) -> Path:
    """Make the project in `folder`: a run of each network, and one of an experiment; None: all epochs of starter."""
    copy_project(folder)
    if epochs:
        params = folder / "params.yaml"
        before, name, after = params.read_text().partition(f"\n  {DCGAN}:\n    family:")
        params.write_text(before + name + re.sub(r"epochs: \d+", f"epochs: {epochs}", after, count=1))
        commit(folder, "fewer epochs")
    dvc(folder, "repro", f"register@{CLASSIFIER}", f"register@{DCGAN}")
    commit(folder, "what was made")
    rate = f"networks.{CLASSIFIER}.learning_rate={VARIANT_RATE}"
    dvc(folder, "exp", "run", "-n", VARIANT, "-S", rate, f"register@{CLASSIFIER}")
    dvc(folder, "repro", "-s", "report")
    return folder


def client_of(folder: Path) -> MlflowClient:
    """A client of the project's tracking database."""
    return MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")


def promote(folder: Path, network: str, version: int) -> None:
    """Make a version the champion, the worse one, too."""
    convzoo(folder, "promote", network, "--version", str(version), "--force", "--reason", "to be looked at")


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """`convzoo ui` on a free port; its address. Raises AssertionError with what it printed if it does not answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, log = f"http://127.0.0.1:{port}", folder / "ui.log"
    command = [sys.executable, "-m", "convzoo", "ui", "--port", str(port)]
    with log.open("w") as told:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=told, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        end = time.monotonic() + 120
        while not answers(address):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def answers(address: str) -> bool:
    """Whether the server is up."""
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
