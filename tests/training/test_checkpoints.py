"""Checkpoints: what they hold, broken ones, and two processes that want the same one."""

import multiprocessing

import pytest
import torch
from filelock import FileLock
from helpers.small import CLASSIFIER

from convzoo.errors import ConvzooError
from convzoo.training.checkpoints import Checkpoints

NETWORK = CLASSIFIER.network


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(CLASSIFIER.project(tmp_path))
    monkeypatch.setenv("CONVZOO_TRACKING", "off")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def test_a_checkpoint_cut_short_starts_the_training_anew(project, monkeypatch, capsys):
    expected = CLASSIFIER.train()
    monkeypatch.setattr(Checkpoints, "remove", lambda self: self.lock.release())
    CLASSIFIER.train()
    file = next((project / ".checkpoints").glob("*/last.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    assert CLASSIFIER.train() == expected
    assert "is broken" in capsys.readouterr().out


def hold(path: str, held, done) -> None:
    with FileLock(path):
        held.set()
        done.wait(30)


def test_a_training_that_runs_already_is_said(project):
    identity = "0" * 64
    with Checkpoints(NETWORK, identity) as checkpoints:
        path = str(checkpoints.lock.lock_file)
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(path, held, done))
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(ConvzooError, match="another process is training it"):
            Checkpoints(NETWORK, identity).__enter__()
    finally:
        done.set()
        other.join()


def test_checkpoints_keep_nested_tensors_numbers_and_text(project):
    state = {"epoch": 1, "a": [torch.arange(3), {"b": 1.5, 7: "text"}], "none": None, "shared": torch.zeros(2, 2).t()}
    with Checkpoints(NETWORK, "1" * 64) as checkpoints:
        checkpoints.save(state)
        found = checkpoints.load()
    assert torch.equal(found["a"][0], state["a"][0])
    assert found["a"][1] == {"b": 1.5, 7: "text"}
    assert found["none"] is None
