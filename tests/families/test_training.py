"""What holds for the training of every family: what it writes, that it repeats itself, and what stops it."""

import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from helpers.small import FAMILIES
from lightning_fabric import Fabric
from safetensors.torch import load_file

from convzoo.errors import ConvzooError
from convzoo.families.find import family_module, family_names
from convzoo.files import read_json
from convzoo.tracking.live import LiveRun

EVERY_TRAINING = {"architecture.json", "fingerprint.json", "history.csv", "weights.safetensors"}


def test_these_tests_cover_every_family():
    assert sorted(FAMILIES) == family_names()


def test_a_training_writes_its_files_and_a_history_row_for_each_epoch(family, shipped):
    assert set(shipped.trained) == EVERY_TRAINING | {f"extra/{name}" for name in family.extra}
    rows = family.history()
    assert list(rows[0]) == family.columns
    assert [row["epoch"] for row in rows] == [str(number + 1) for number in range(len(rows))]
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())
    for row in rows:
        assert f"{family.network} epoch {row['epoch']}/{len(rows)}" in shipped.said
    assert not list(Path(".checkpoints").iterdir())


def test_the_same_training_gives_the_same_bytes(family, shipped):
    before = family.outputs()
    shutil.rmtree(".features", ignore_errors=True)
    family.train(**family.variants[0])
    assert family.outputs() == before


def test_the_files_hold_the_weights_and_the_history_that_the_loop_left(family, project, monkeypatch):
    module, states = family_module(family.name, "train"), []

    def keep_state(loop):
        return lambda *arguments: states.append(arguments[-1]) or loop(*arguments)

    for name in ("fit", "fit_head"):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, keep_state(getattr(module, name)))
    family.train(**family.short)
    [state] = states
    kept = {f"head.{name}": value for name, value in state.notes.get("head", {}).items()} or state.best
    if family.name == "dcgan":
        kept, discriminator = kept["generator"], kept["discriminator"]
        assert_same_tensors(load_file(family.folder / "extra/discriminator.safetensors"), discriminator)
    written = load_file(family.folder / "weights.safetensors")
    assert_same_tensors({name: value for name, value in written.items() if not name.startswith("backbone.")}, kept)
    for written_row, row in zip(family.history(), state.history, strict=True):
        assert {name: float(value) for name, value in written_row.items()} == pytest.approx(row, rel=1e-5)


def assert_same_tensors(some: dict, others: dict) -> None:
    assert set(some) == set(others)
    assert all(torch.equal(value, others[name]) for name, value in some.items())


def test_settings_reach_weights_and_fingerprint(family, project):
    weights, fingerprints = {}, set()
    for changes in ({}, *family.switches):
        found = family.train(**family.short | changes)
        assert found not in weights, f"{changes} trains as {weights[found]}"
        weights[found] = changes
        fingerprints.add(read_json(family.folder / "fingerprint.json")["fingerprint"])
    assert len(fingerprints) == len(weights)


DIVERGING = [(name, *case) for name, family in FAMILIES.items() for case in family.diverging]


@pytest.mark.parametrize(("family", "changes", "epoch"), DIVERGING, indirect=["family"])
def test_a_training_that_diverges_stops_with_its_step_and_the_setting_to_lower(family, project, changes, epoch):
    kept = "no epoch is kept" if epoch == 1 else rf"epoch {epoch - 1} is kept in \S+"
    message = rf"the loss is not finite at step \d+ of epoch {epoch}; {kept}; lower {family.rate}"
    with pytest.raises(ConvzooError, match=message):
        family.train(**changes)
    assert not (family.folder / "weights.safetensors").exists()


def test_a_loss_that_breaks_later_names_the_last_good_checkpoint(family, project, monkeypatch):
    backward, logged = Fabric.backward, []

    def breaks(fabric, loss, *arguments):
        if logged:
            loss.data.fill_(math.nan)
        backward(fabric, loss, *arguments)

    monkeypatch.setattr(LiveRun, "log", lambda run, epoch, metrics: logged.append(epoch))
    monkeypatch.setattr(Fabric, "backward", breaks)
    message = rf"^{family.network}: the loss is not finite at step 1 of epoch 2; epoch 1 is kept in (\S+); lower "
    with pytest.raises(ConvzooError, match=message + family.rate) as raised:
        family.train()
    assert logged == [1]
    assert Path(re.match(message, str(raised.value))[1]).is_file()
    assert not (family.folder / "weights.safetensors").exists()


def test_data_that_changed_after_their_validation_are_refused(family, project):
    file = family.prepared / "train/images.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    message = rf"{family.prepared.name}/train is not what was validated .* run: convzoo repro validate"
    with pytest.raises(ConvzooError, match=message):
        family.train()


def test_an_array_that_is_cut_short_is_named(family, project):
    file = family.prepared / "val/images.npy"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ConvzooError, match=rf"{family.prepared}/val: cannot be read"):
        family.train()
