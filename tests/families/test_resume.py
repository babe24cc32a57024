"""A training of any family that is stopped and started again ends with the bytes of one that was left alone."""

import itertools
import shutil

import pytest
from helpers.small import FAMILIES

from convzoo.tracking.live import LiveRun
from convzoo.training.progress import Progress

VARIANTS = [(name, changes) for name, family in FAMILIES.items() for changes in family.variants]


@pytest.mark.parametrize(("family", "changes"), VARIANTS, indirect=["family"])
def test_stopped_in_and_after_every_epoch_a_training_ends_with_the_same_bytes(
    family, project, monkeypatch, capsys, changes
):
    family.train(**changes)
    expected, epochs = family.outputs(), len(family.history())
    shutil.rmtree(family.folder)

    def stop(owner: type, name: str, count: int) -> None:
        """Train as if Ctrl-C came at the `count`-th call of a method."""
        calls, method = itertools.count(1), getattr(owner, name)

        def call(*arguments):
            if next(calls) == count:
                raise KeyboardInterrupt
            return method(*arguments)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(owner, name, call)
            family.train(**changes)
        assert not (family.folder / "weights.safetensors").exists()

    def resumed_at() -> str:
        return capsys.readouterr().out.partition("resuming ")[2].partition("\n")[0]

    capsys.readouterr()
    for epoch in range(1, epochs + 1):
        resumed = f"{family.network} at epoch {epoch}" if epoch > 1 else ""
        stop(Progress, "step", 2)  # in the middle of the epoch
        assert resumed_at() == resumed
        stop(LiveRun, "log", 1)  # at its end
        assert resumed_at() == resumed

    family.train(**changes)
    assert resumed_at() == f"{family.network} at epoch {epochs + 1}"
    assert family.outputs() == expected
