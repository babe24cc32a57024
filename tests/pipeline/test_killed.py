"""A training process that is killed, and trainings of several processes; through the stage's own entry."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project import environment, link_code
from helpers.small.classifier import small_project

from convzoo.files import sha256_of

NETWORK = "mnist-classifier"


@pytest.fixture
def project(tmp_path):
    folder = small_project(tmp_path)
    link_code(folder)
    return folder


def start(folder: Path) -> subprocess.Popen:
    """The stage `train`, as DVC runs it."""
    return subprocess.Popen(
        [sys.executable, "pipeline/train.py", NETWORK],
        cwd=folder,
        env=environment(CONVZOO_TRACKING="off"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    """What it printed; it must have ended well."""
    told, _ = process.communicate(timeout=240)
    assert process.returncode == 0, told
    return told


def outputs(folder: Path) -> dict[str, str]:
    return {file.name: sha256_of(file) for file in (folder / "models").rglob("*") if file.is_file()}


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(project):
    finish(start(project))
    expected = outputs(project)
    for file in (project / "models").rglob("*.*"):
        file.unlink() if file.is_file() else None

    killed = start(project)
    for line in killed.stdout:
        if "epoch 2/" in line:
            killed.send_signal(signal.SIGKILL)
            break
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (project / f"models/{NETWORK}/weights.safetensors").exists()

    told = finish(start(project))
    assert re.search(rf"resuming {NETWORK} at epoch [23]", told)
    assert outputs(project) == expected
    assert not list((project / ".checkpoints").iterdir())


def test_two_processes_train_one_network(project):
    params = project / "params.yaml"
    text = params.read_text().replace("devices: 1 ", "devices: 2 ").replace("portable: true ", "portable: false ")
    params.write_text(text)
    told = finish(start(project))
    assert told.count(f"{NETWORK} epoch 1/") == 1, "one of them reports"
    assert "weights.safetensors" in outputs(project)
    assert not list((project / ".checkpoints").iterdir())
