"""Where a training stands between two epochs: what is kept, what counts as better, and what a broken loss says."""

import pytest
import torch
from torch import nn

from convzoo.errors import ConvzooError
from convzoo.training.checkpoints import Checkpoints
from convzoo.training.progress import Progress
from convzoo.training.state import TrainState, weights_of


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


class Run:
    """Stands in for the run: what is logged."""

    def __init__(self) -> None:
        self.logged: list[tuple[int, dict]] = []

    def log(self, epoch: int, metrics: dict) -> None:
        self.logged.append((epoch, metrics))


def layer_and_optimizer() -> tuple[nn.Module, torch.optim.Optimizer]:
    layer = nn.Linear(2, 1)
    return layer, torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)


def test_a_resumed_state_is_the_one_that_was_saved_and_its_parts_too(capsys):
    layer, optimizer = layer_and_optimizer()
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    row, run = {"epoch": 1, "val_loss": 0.1 + 0.2, "val_kid": None}, Run()
    with Checkpoints("net", "1" * 64) as checkpoints:
        state = TrainState("net", checkpoints, run, best=weights_of(layer), notes={"samples": {3: torch.arange(2)}})
        state.parts = [layer, None, optimizer]
        state.end_epoch(row, Progress("net", 2, 1, quiet=True))
        assert run.logged == [(1, {"val_loss": 0.1 + 0.2})]

        resumed, (other, other_optimizer) = TrainState("net", checkpoints), layer_and_optimizer()
        resumed.resume()
        resumed.parts = [other, None, other_optimizer]
        resumed.restore()
    assert "resuming net at epoch 2" in capsys.readouterr().out
    assert (resumed.epoch, resumed.history) == (1, [row])
    assert torch.equal(resumed.notes["samples"][3], torch.arange(2))
    for name, value in layer.state_dict().items():
        assert torch.equal(resumed.best[name], value) and torch.equal(other.state_dict()[name], value)
    [momentum, expected] = (each.state_dict()["state"][0]["momentum_buffer"] for each in (other_optimizer, optimizer))
    assert torch.equal(momentum, expected)


def test_without_checkpoints_nothing_is_written(tmp_path):
    layer, optimizer = layer_and_optimizer()
    state = TrainState("net", parts=[layer, optimizer])
    state.resume()
    state.restore()
    state.end_epoch({"epoch": 1}, Progress("net", 1, 1, quiet=True))
    assert state.epoch == 1 and not list(tmp_path.iterdir())


def test_the_best_epoch_is_that_of_its_phase_and_an_equal_one_is_not_better():
    state = TrainState("net", history=[{"phase": 1, "val": 0.9, "kid": None}, {"phase": 2, "val": 0.5, "kid": 0.5}])
    assert state.is_best({"phase": 3, "val": 0.1}, "val")
    for value, better in ((0.4, False), (0.5, False), (0.6, True)):
        assert state.is_best({"phase": 2, "val": value}, "val") == better
    for value, better in ((0.6, False), (0.5, False), (0.4, True)):
        assert state.is_best({"phase": 2, "kid": value}, "kid", lower=True) == better
    assert state.is_best({"phase": 1, "kid": 9.0}, "kid", lower=True), "the only one of its phase that was measured"


def test_the_first_broken_loss_is_named_by_its_step_and_the_setting_to_lower():
    nan = torch.nan
    for losses, message in (
        ({"a_rate": [1, 1, nan, nan], "b_rate": [1, 1, 1, nan]}, "step 3 of epoch 1; no epoch is kept; lower a_rate"),
        ({"a_rate": [1, 1, 1, nan], "b_rate": [1, 1, torch.inf, 1]}, "step 3 of epoch 1; .* lower b_rate"),
        ({"a_rate": [1, 1, 1, nan], "b_rate": [nan, 1]}, "step 2 of epoch 1; .* lower b_rate"),
    ):
        with pytest.raises(ConvzooError, match=f"^net: the loss is not finite at {message}$"):
            TrainState("net").check_finite({name: torch.tensor(values) for name, values in losses.items()})
    TrainState("net").check_finite({"a_rate": torch.ones(3)})


def test_kept_weights_do_not_change_when_the_network_does():
    layer, _ = layer_and_optimizer()
    kept = weights_of(layer)
    before = kept["weight"].clone()
    nn.init.constant_(layer.weight, 7.0)
    assert torch.equal(kept["weight"], before)
