"""Which checkpoint of another training a training may start from."""

import re

import pytest
import torch
from filelock import FileLock

from convzoo.errors import ConvzooError
from convzoo.settings.compute import CONTINUE_FROM
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.parents import parent_of

PARTS = {
    "params": {"seed": 1, "batch_size": 8, "finetune": {"batch_size": 4, "blocks": 3}},
    "compute": {"devices": 1},
    "data": {"train": "a"},
    "code": {"a.py": "1"},
    "versions": {"torch": "2"},
}
IDENTITY = {"fingerprint": "ab" * 32, **PARTS}
NOW = {"fingerprint": "cd" * 32, **PARTS, "compute": {"devices": 2}}


@pytest.fixture(autouse=True)
def checkpoint(tmp_path, monkeypatch):
    """The checkpoint of a training of `net` that was stopped after epoch 3."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with Checkpoints("net", IDENTITY["fingerprint"]) as checkpoints:
        checkpoints.describe(IDENTITY)
        checkpoints.save({"epoch": 3, "best": {"a": torch.ones(2)}})
    return checkpoints


@pytest.fixture
def named(monkeypatch):
    """Names a fingerprint to continue from."""
    return lambda value: monkeypatch.setenv(CONTINUE_FROM, value)


def test_nothing_is_continued_unless_it_is_named():
    assert parent_of("net", NOW) is None


@pytest.mark.parametrize("digits", [8, 16, 64])
def test_the_first_digits_of_a_fingerprint_name_it(named, digits, capsys):
    named(IDENTITY["fingerprint"][:digits])
    parent = parent_of("net", NOW)
    assert parent.described["fingerprint"] == IDENTITY["fingerprint"]
    assert parent.described["epoch"] == parent.load()["epoch"] == 3
    assert torch.equal(parent.load()["best"]["a"], torch.ones(2))
    assert "net: continues with another compute.devices: 2 instead of 1" in capsys.readouterr().out


def test_the_same_training_and_other_networks_are_not_continued(named):
    named(IDENTITY["fingerprint"])
    assert parent_of("net", IDENTITY) is None
    assert parent_of("other", NOW) is None


def test_batch_sizes_code_and_versions_may_differ(named):
    named(IDENTITY["fingerprint"])
    params = PARTS["params"] | {"batch_size": 6, "finetune": {"batch_size": 2, "blocks": 3}}
    assert parent_of("net", NOW | {"params": params, "code": {"a.py": "2"}, "versions": {"torch": "3"}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": PARTS["params"] | {"seed": 2}}, "params.seed: is 2, but 1 in the training of net-abababababababab"),
        ({"params": PARTS["params"] | {"finetune": {"batch_size": 4, "blocks": 2}}}, "params.finetune.blocks: is 2"),
        ({"data": {"train": "b"}}, "data.train: is b, but a in the training of net-abab"),
    ],
)
def test_other_settings_and_data_are_refused(named, change, message):
    named(IDENTITY["fingerprint"])
    with pytest.raises(ConvzooError, match=message):
        parent_of("net", NOW | change)


@pytest.mark.parametrize("wanted", ["abab", "ef" * 32, "efefefef"])
def test_a_fingerprint_without_a_checkpoint_is_refused_and_those_with_one_are_named(named, wanted):
    named(wanted)
    with pytest.raises(ConvzooError, match=rf"{wanted}: is the fingerprint of 0 checkpoints, .*net-abababababababab"):
        parent_of("net", NOW)


def test_a_checkpoint_of_a_training_that_runs_is_refused(named, checkpoint):
    named(IDENTITY["fingerprint"])
    with FileLock(checkpoint.folder / "lock"), pytest.raises(ConvzooError, match="its training still runs"):
        parent_of("net", NOW)


def test_a_broken_checkpoint_is_refused(named, checkpoint):
    named(IDENTITY["fingerprint"])
    checkpoint.file.write_bytes(checkpoint.file.read_bytes()[:-10])
    with pytest.raises(ConvzooError, match=rf"{re.escape(str(checkpoint.file))}: is broken, expected a checkpoint"):
        parent_of("net", NOW)
