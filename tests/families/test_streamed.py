"""Trainings in the middle of an epoch, and on images in shards."""

import itertools
import json
import shutil

import pytest
from helpers.sharded import move_to_shards
from helpers.small import FAMILIES

from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.training import state
from convzoo.training.progress import Progress

STREAMED = [name for name in FAMILIES if name != "transfer"]


def stop_at_step(family, monkeypatch, count: int, **changes) -> None:
    """Train as if Ctrl-C came at the `count`-th step, with a checkpoint before each step."""
    calls, step = itertools.count(1), Progress.step

    def counted(progress: Progress) -> None:
        if next(calls) == count:
            raise KeyboardInterrupt
        step(progress)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(state, "STEP_SECONDS", 0)
        patched.setattr(Progress, "step", counted)
        family.train(**changes)
    assert not (family.folder / "weights.safetensors").exists()


@pytest.mark.parametrize("family", ["classifier", "transfer"], indirect=True)
def test_stopped_in_the_middle_of_epochs_a_training_ends_with_the_same_bytes(family, project, monkeypatch, capsys):
    changes = family.variants[0]
    family.train(**changes)
    expected = family.outputs()
    shutil.rmtree(family.folder)
    capsys.readouterr()

    # After a checkpoint before its n-th step, a training begins with that step.
    for done in (2, 1, 3):
        stop_at_step(family, monkeypatch, done, **changes)
    printed = capsys.readouterr()
    assert f"resuming {family.network} at epoch 1, step 2\n" in printed.out
    assert "is kept; `convzoo repro` continues from there" in printed.err
    family.train(**changes)
    assert family.outputs() == expected


@pytest.mark.parametrize("family", STREAMED, indirect=True)
def test_on_shards_a_training_ends_with_the_same_bytes_whether_stopped_or_not(family, project, monkeypatch, capsys):
    changes = family.variants[0]
    move_to_shards(family.prepared, monkeypatch)
    assert not list(family.prepared.rglob("images.npy"))
    family.train(**changes)
    expected = family.outputs()
    shutil.rmtree(family.folder)

    stop_at_step(family, monkeypatch, 3, **changes)
    capsys.readouterr()
    family.train(**changes)
    assert f"resuming {family.network} at epoch 1, step 3\n" in capsys.readouterr().out
    assert family.outputs() == expected

    family.export()
    metrics = family.evaluate()
    assert family.metrics <= metrics.keys() and set(family.files) <= family.outputs().keys()


@pytest.mark.parametrize("family", ["classifier"], indirect=True)
def test_the_order_in_shards_is_another_than_in_arrays_and_part_of_the_fingerprint(family, project, monkeypatch):
    def trained(**sizes: int) -> tuple[str, dict]:
        if sizes:
            move_to_shards(family.prepared, monkeypatch, **sizes)
        weights = family.train(epochs=1)
        return weights, json.loads((family.folder / "fingerprint.json").read_text())

    runs = [trained(), trained(block=7, window=2), trained(block=7, window=4)]
    assert len({weights for weights, _ in runs}) == len({identity["fingerprint"] for _, identity in runs}) == 3
    assert len({json.dumps(identity["data"]) for _, identity in runs}) == 1
    found = [{key: identity["params"].get(f"shard_{key}") for key in ("block", "window")} for _, identity in runs]
    assert found == [{"block": None, "window": None}, {"block": 7, "window": 2}, {"block": 7, "window": 4}]


@pytest.mark.parametrize("family", ["classifier"], indirect=True)
def test_a_training_names_a_missing_shard_and_changed_images(family, project, monkeypatch):
    move_to_shards(family.prepared, monkeypatch)
    *_, file = sorted((family.prepared / "train").glob("*.tar"))
    content = file.read_bytes()
    file.write_bytes(content.replace(load_split(family.prepared / "train").images[-1].tobytes(), b"\0" * 784))
    with pytest.raises(ConvzooError, match=r"train is not what was validated .*; run: convzoo repro validate"):
        family.train()
    file.unlink()
    with pytest.raises(ConvzooError, match=rf"{file.name}: no such file.*; rebuild it: convzoo repro -f prepare"):
        family.train()
