"""Trainings that torchrun, convzoo itself or two hosts start; make test-distributed."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from helpers import several
from helpers.killing import until
from helpers.namespaces import two_hosts
from helpers.project import environment, link_code
from helpers.small import FAMILIES
from helpers.small.classifier import NETWORK, small_project
from helpers.small.family import working_in

from convzoo.files import sha256_of

pytestmark = pytest.mark.distributed
WEIGHTS = f"models/{NETWORK}/weights.safetensors"
STAGE = ("pipeline/train.py", NETWORK)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")


def set_compute(folder: Path, **changes: object) -> None:
    """Set keys of `compute`, without portable results."""
    file = folder / "params.yaml"
    for key, value in {"portable": "false", "threads": 1, "precision": "fp32", **changes}.items():
        text, found = re.subn(rf"(?m)^  {key}: \S+", f"  {key}: {value}", file.read_text(), count=1)
        assert found
        file.write_text(text)


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    link_code(small_project(folder))
    set_compute(folder, devices=2)
    file = folder / "params.yaml"  # with enough epochs for a kill between the second and the last one
    text, found = re.subn(r"(?ms)^(  mnist-classifier:.*?^    epochs: )\d+", r"\g<1>30", file.read_text(), count=1)
    assert found
    file.write_text(text)
    return folder


def start(folder: Path, *command: str, **variables: str) -> subprocess.Popen:
    """Run a command in `folder`."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(CONVZOO_TRACKING="off", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen, is_well: bool = True) -> str:
    """What it printed; it must have ended well, or not."""
    output, _ = process.communicate(timeout=240)
    assert (process.returncode == 0) == is_well, output
    return output


def outputs(folder: Path) -> dict[str, str]:
    return {file.name: sha256_of(file) for file in (folder / "models").rglob("*") if file.is_file()}


def without_results(folder: Path) -> Path:
    shutil.rmtree(folder / "models")
    return folder


def children(process: subprocess.Popen) -> list[psutil.Process]:
    """The processes of a training that convzoo started, besides the first one."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [child for child in found if child.status() != psutil.STATUS_ZOMBIE and STAGE[1] in child.cmdline()]


def test_torchrun_trains_with_the_bytes_and_the_fingerprint_of_a_plain_start(project):
    output = finish(start(project, sys.executable, *STAGE))
    assert output.count(f"{NETWORK} epoch 1/") == 1
    expected = outputs(project)
    finish(start(without_results(project), *TORCHRUN, "--nproc-per-node", "2", *STAGE))
    assert outputs(project) == expected


def test_torchrun_with_another_number_of_processes_is_refused(project):
    output = finish(start(project, *TORCHRUN, "--nproc-per-node", "1", *STAGE), is_well=False)
    assert "error: compute.devices: is 2, but torchrun started 1, expected the same" in output


@pytest.mark.parametrize("victim", ["first", "second"])
def test_a_killed_process_takes_the_others_with_it_and_the_training_goes_on(project, victim):
    finish(start(project, sys.executable, *STAGE))
    expected = outputs(project)
    process = start(without_results(project), sys.executable, *STAGE)
    for line in process.stdout:
        if "epoch 2/" in line:
            break
    [other] = children(process)
    os.kill(process.pid if victim == "first" else other.pid, signal.SIGKILL)
    finish(process, is_well=False)
    until(lambda: not other.is_running() or other.status() == psutil.STATUS_ZOMBIE)
    assert not (project / WEIGHTS).exists()

    assert re.search(rf"resuming {NETWORK} at epoch \d", finish(start(project, sys.executable, *STAGE)))
    assert outputs(project) == expected


def test_two_hosts_train_one_network_and_the_loss_of_one_ends_the_other(project, tmp_path):
    finish(start(project, sys.executable, *STAGE))
    expected = outputs(project)
    set_compute(project, devices=1, nodes=2)
    shutil.copytree(without_results(project), tmp_path / "other", symlinks=True)  # nothing is shared but the network
    (tmp_path / "other/models").mkdir()

    with two_hosts() as hosts:

        def train() -> list[subprocess.Popen]:
            options = (*TORCHRUN, "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "0")
            options += ("--rdzv-backend", "c10d", "--rdzv-id", "any", "--rdzv-endpoint", f"{hosts[0].address}:29400")
            first, second = (("--local-addr", host.address, *STAGE) for host in hosts)  # both have one host name
            return [
                hosts[0].start(project, *options, "--rdzv-conf", "is_host=1", *first),
                hosts[1].start(tmp_path / "other", *options, "--rdzv-conf", "is_host=0", *second),
            ]

        first, second = train()
        for line in first.stdout:
            if "epoch 2/" in line:
                break
        for child in psutil.Process(second.pid).children(recursive=True):
            child.kill()
        second.kill()
        finish(first, is_well=False)
        finish(second, is_well=False)

        first, second = train()
        assert re.search(rf"resuming {NETWORK} at epoch \d", finish(first))
        assert "epoch" not in finish(second)
    found = outputs(project)
    assert found["weights.safetensors"] == expected["weights.safetensors"], "the same processes, on two hosts"
    assert found["fingerprint.json"] != expected["fingerprint.json"]
    assert not list((tmp_path / "other/models").rglob("*.safetensors"))


@pytest.mark.parametrize("name", FAMILIES)
def test_killed_in_every_epoch_two_processes_end_with_the_bytes_of_an_uninterrupted_training(name, tmp_path):
    family = FAMILIES[name]
    with working_in(family.project(tmp_path)) as folder:
        assert several.train(name, folder) == [0, 0], several.output(folder)
        expected, epochs = family.outputs(), len(family.history())
        shutil.rmtree(family.folder)
        for number in range(epochs - 1):
            fault = several.Fault(rank=number % 2, epochs=1, is_kill=True)
            assert sorted(several.train(name, folder, fault=fault)) == [-9, 1], several.output(folder)
        assert several.train(name, folder) == [0, 0], several.output(folder)
        assert family.outputs() == expected
