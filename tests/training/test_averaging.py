"""The moving average of weights, held against torch's own, and what its warm-up promises."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from convzoo.training.averaging import MovingAverage, moving_average


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))


def changed(module: nn.Module, step: int) -> None:
    """Weights and statistics as after a step of a training."""
    torch.manual_seed(step)
    for value in module.state_dict().values():
        value.copy_(torch.randn(value.shape) if value.is_floating_point() else torch.full_like(value, step))


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_it_is_what_torch_computes(decay):
    module = network()
    average = moving_average(module, decay)
    expected = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    for step in range(7):
        changed(module, step)
        average.update(module)
        expected.update_parameters(module)
    pairs = zip(average.module.state_dict().values(), expected.module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_with_a_warm_up_the_decay_grows_with_the_updates():
    module = nn.Linear(1, 1, bias=False)
    average, expected = MovingAverage(module, 0.2, warm_up=True), None
    for step, value in enumerate([1.0, 2.0, 4.0, 8.0]):
        nn.init.constant_(module.weight, value)
        average.update(module)
        decay = min(0.2, (1 + step) / (10 + step))  # 2/11 and 3/12 are to either side of 0.2
        expected = value if expected is None else decay * expected + (1 - decay) * value
        assert average.module.weight.item() == pytest.approx(expected)


def test_without_a_decay_there_is_none_and_with_a_warm_up_it_is_the_network_itself():
    module = network()
    assert moving_average(module, 0) is None
    average = MovingAverage(module, 0, warm_up=True)
    for step in range(3):
        changed(module, step)
        average.update(module)
    pairs = zip(module.state_dict().values(), average.module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_network_that_is_averaged_is_another_one_and_is_resumed():
    module = network()
    average = MovingAverage(module, 0.9)
    for step in range(2):
        changed(module, step)
        average.update(module)
    resumed = MovingAverage(network(), 0.9)
    resumed.load_state_dict(average.state_dict())
    changed(module, 2)
    for either in (average, resumed):
        either.update(module)
    pairs = zip(average.module.state_dict().values(), resumed.module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(average.module[0].weight, module[0].weight)
