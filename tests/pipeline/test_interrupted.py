"""Ctrl-C during a training: a quick end, a line that says how to go on, and nothing lost."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.killing import finish, made, start, until
from helpers.project import environment, link_code
from helpers.small import CLASSIFIER, FAMILIES

from convzoo.training.checkpoints import Checkpoints

NETWORK = "mnist-classifier"
SOON = 15  # seconds; with a store that never answers it takes 3, and an end that nobody asked for waits 20
KEPT = re.compile(r"^([a-z0-9-]+): stopped; epoch (\d+) is kept; `convzoo repro` continues from there$", re.MULTILINE)


def told_in(folder: Path) -> str:
    file = folder / "told.txt"
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_of_every_family_that_is_stopped_and_killed_goes_on_to_the_same_bytes(family, tmp_path):
    quiet, folder = tmp_path / "left alone", tmp_path / "stopped"
    quiet.mkdir(), folder.mkdir()
    finish(start(family, quiet), quiet)

    process = start(family, folder)
    until(lambda: " epoch 1/" in told_in(folder))
    os.kill(process.pid, signal.SIGINT)
    process.join(SOON)
    assert not process.is_alive()
    ((network, epoch),) = KEPT.findall(told_in(folder))
    assert not list((folder / "models" / network).glob("weights*"))

    (folder / "told.txt").unlink()
    process = start(family, folder)
    until(lambda: " epoch 3/" in told_in(folder))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert f"resuming {network} at epoch {int(epoch) + 1}" in told_in(folder)
    assert not list((folder / "models" / network).glob("weights*"))

    told = finish(start(family, folder), folder)
    assert re.search(rf"resuming {network} at epoch [345]", told)
    assert made(folder) == made(quiet)
    assert not list((folder / ".checkpoints").iterdir())


def test_a_training_stopped_before_its_first_epoch_says_that_nothing_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), Checkpoints(NETWORK, "0" * 64):
        raise KeyboardInterrupt
    message = f"{NETWORK}: stopped; no epoch was finished; `convzoo repro` starts from the beginning\n"
    assert capsys.readouterr().err == message


@pytest.fixture
def project(tmp_path):
    folder = CLASSIFIER.project(tmp_path)
    link_code(folder)
    params, block = (folder / "params.yaml").read_text(), f"  {NETWORK}:\n    family: classifier"
    before, after = params.split(block)
    (folder / "params.yaml").write_text(before + block + after.replace("epochs: 3", "epochs: 3000", 1))
    return folder


def interrupted(folder: Path, connection: socket.socket | None = None, **more: str) -> tuple[str, int]:
    """What the stage `train` prints when Ctrl-C comes, to all its processes, after an epoch, and the epoch it keeps.

    With a `connection` that comes after somebody connected.
    """
    process = subprocess.Popen(
        [sys.executable, "pipeline/train.py", NETWORK],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if " epoch " in line and "resuming" not in line:
            break
    if connection:
        connection.accept()
    os.killpg(process.pid, signal.SIGINT)
    told = "".join(lines) + process.communicate(timeout=SOON)[0]
    assert process.returncode == 130 and "Traceback" not in told
    assert told.endswith("stopped\n")
    ((network, epoch),) = KEPT.findall(told)
    assert network == NETWORK
    assert not (folder / "models" / NETWORK / "weights.safetensors").exists()
    return told, int(epoch)


def test_ctrl_c_ends_the_stage_soon_whatever_the_tracking_store_does(project):
    told, first = interrupted(project)
    assert first >= 1
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        told, second = interrupted(project, silent, MLFLOW_TRACKING_URI=server)
    assert f"resuming {NETWORK} at epoch {first + 1}\n" in told
    assert second > first
    assert told.count("warning: ") == 1 and "tracking stopped (no answer for 3 s)" in told
