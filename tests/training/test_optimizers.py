"""Optimizers: which weights get which step, and each step computed a second way."""

import pytest
import torch
from torch import nn

from convzoo.training import optimizers
from convzoo.training.optimizers import Muon, RMSprop, build, orthogonal, set_rates

RATES = {"learning_rate": 0.1, "momentum": 0.8, "beta2": 0.9, "weight_decay": 0.05, "muon_learning_rate": 0.02}
TORCH = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": RMSprop, "sgd": torch.optim.SGD}


class Small(nn.Module):
    """Filters, a matrix, vectors, and a layer that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.filters, self.norm, self.linear = nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Linear(5, 3)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def names_of(network: nn.Module, weights: list[torch.Tensor]) -> set[str]:
    return {name for name, weight in network.named_parameters() if any(weight is other for other in weights)}


VECTORS = {"filters.bias", "norm.weight", "norm.bias", "linear.bias"}


@pytest.mark.parametrize("optimizer", TORCH)
def test_vectors_have_no_weight_decay_and_settings_reach_the_optimizer(optimizer):
    network = Small()
    (built,) = build(network, optimizer=optimizer, **RATES)
    assert type(built) is TORCH[optimizer]
    groups = [(names_of(network, group["params"]), group["weight_decay"]) for group in built.param_groups]
    assert groups == [({"filters.weight", "linear.weight"}, 0.05), (VECTORS, 0.0)]
    expected = {
        "adam": {"betas": (0.8, 0.9)},
        "adamw": {"betas": (0.8, 0.9)},
        "rmsprop": {"alpha": 0.9, "momentum": 0.8},
        "sgd": {"momentum": 0.8, "nesterov": True},
    }[optimizer]
    for group in built.param_groups:
        assert {key: group[key] for key in expected} == expected
        assert group["lr"] == group["peak"] == 0.1


def test_muon_has_the_filters_and_sgd_the_rest():
    network = Small()
    rest, muon = build(network, optimizer="muon", **RATES)
    assert (type(rest), type(muon)) == (torch.optim.SGD, Muon)
    assert [names_of(network, group["params"]) for group in rest.param_groups] == [{"linear.weight"}, VECTORS]
    (group,) = muon.param_groups
    assert names_of(network, group["params"]) == {"filters.weight"}
    assert (group["lr"], group["peak"], group["momentum"]) == (0.02, 0.02, 0.8)


@pytest.mark.parametrize("optimizer", [*TORCH, "muon"])
def test_biases_learn_at_a_multiple_of_the_rate(optimizer):
    network = Small()
    first, *_ = build(network, optimizer=optimizer, bias_rate=64.0, **RATES)
    groups = [(names_of(network, group["params"]), group["lr"], group["peak"]) for group in first.param_groups]
    biases = {name for name in VECTORS if name.endswith("bias")}
    assert groups[1:] == [(VECTORS - biases, 0.1, 0.1), (biases, 6.4, 6.4)]
    assert [group["weight_decay"] for group in first.param_groups] == [0.05, 0.0, 0.0]
    set_rates([first], 0.5)
    assert [group["lr"] for group in first.param_groups] == [0.05, 0.05, 3.2]


def test_without_filters_or_momentum_or_matrices_the_empty_parts_are_left_out():
    (only,) = build(nn.Linear(3, 2), optimizer="muon", **RATES)
    assert type(only) is torch.optim.SGD
    (plain,) = build(nn.Linear(3, 2), optimizer="sgd", **RATES | {"momentum": 0.0})
    assert [group["nesterov"] for group in plain.param_groups] == [False, False]
    (single,) = build(nn.BatchNorm1d(3), optimizer="adam", **RATES)
    assert [len(group["params"]) for group in single.param_groups] == [2]


def test_rates_are_the_peaks_times_the_factor():
    built = build(Small(), optimizer="muon", **RATES)
    for factor in (0.5, 0.1):  # of the peak, not of the last rate
        set_rates(built, factor)
        assert [group["lr"] for one in built for group in one.param_groups] == pytest.approx(
            [0.1 * factor, 0.1 * factor, 0.02 * factor]
        )


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5)])
def test_an_orthogonal_matrix_has_the_polynomial_of_each_singular_value(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    a, b, c = 3.4445, -4.7750, 2.0315
    for iterations in (3, 5):
        expected = values / (values.square().sum().sqrt() + 1e-7)
        for _ in range(iterations):
            expected = a * expected + b * expected**3 + c * expected**5
        found = orthogonal(matrix, iterations)
        torch.testing.assert_close(found, u @ expected.diag() @ v)
        if iterations == 3:
            assert torch.equal(orthogonal(matrix), found)


def test_a_matrix_of_zeros_stays_one():
    assert torch.equal(orthogonal(torch.zeros(3, 4)), torch.zeros(3, 4))
    tiny = torch.full((1, 1), 1e-7, dtype=torch.float64)
    half = 3.4445 / 2 - 4.7750 / 2**3 + 2.0315 / 2**5  # the norm is as large as epsilon
    assert orthogonal(tiny, 1).item() == pytest.approx(half)


def test_muon_takes_nesterov_steps_from_normalised_weights():
    generator = torch.Generator().manual_seed(0)
    weight, idle = (nn.Parameter(torch.randn(6, 2, 3, 3, generator=generator)) for _ in range(2))
    muon, momentum, before = Muon([weight, idle], lr=0.03, momentum=0.7), torch.zeros(6, 2, 3, 3), idle.clone()
    expected = weight.detach().clone()
    for rate in (0.03, 0.01):
        muon.param_groups[0]["lr"] = rate
        weight.grad = torch.randn(6, 2, 3, 3, generator=generator)
        gradient = weight.grad.clone()
        momentum = 0.7 * momentum + gradient
        step = orthogonal((gradient + 0.7 * momentum).reshape(6, 18)).reshape(6, 2, 3, 3)
        expected = expected * 6**0.5 / expected.square().sum().sqrt() - rate * step
        muon.step()
        torch.testing.assert_close(weight.detach(), expected)
        assert torch.equal(weight.grad, gradient)
    assert torch.equal(idle, before) and idle not in muon.state
    torch.testing.assert_close(muon.state[weight]["momentum_buffer"], momentum)


def test_muon_steps_have_singular_values_near_one():
    matrix = torch.randn(16, 40, generator=torch.Generator().manual_seed(0))
    for shaped in (matrix, matrix.T):
        values = torch.linalg.svdvals(optimizers.orthogonal(shaped, iterations=6))
        assert 0.6 < values.min() <= values.max() < 1.3


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_rmsprop_takes_the_steps_of_torch(momentum):
    rates = RATES | {"momentum": momentum}
    found, expected = Small(), Small()
    ours = build(found, optimizer="rmsprop", **rates)
    groups = [{"params": group["params"], "weight_decay": group["weight_decay"]} for group in ours[0].param_groups]
    same = dict(zip(found.parameters(), expected.parameters(), strict=True))
    groups = [group | {"params": [same[weight] for weight in group["params"]]} for group in groups]
    torchs = torch.optim.RMSprop(groups, lr=0.1, alpha=0.9, momentum=momentum)
    for step in range(4):
        for mine, theirs in same.items():
            if mine.requires_grad:
                generator = torch.Generator().manual_seed(step)
                mine.grad = torch.randn(mine.shape, generator=generator) * (step != 1)  # also a gradient of zero
                theirs.grad = mine.grad.clone()
        ours[0].step(), torchs.step()
        for mine, theirs in same.items():
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("optimizer", [*TORCH, "muon"])
def test_no_step_takes_a_square_root_of_torch(optimizer):
    network = Small()
    built = build(network, optimizer=optimizer, **RATES)
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    with torch.profiler.profile() as profile:
        for one in built:
            one.step()
    names = {event.key for event in profile.key_averages()}
    assert names and not {name for name in names if "sqrt" in name and "rsqrt" not in name}


def test_a_loaded_state_has_the_layout_of_the_weights():
    weight = nn.Parameter(torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last))
    (adam,) = build(nn.ParameterList([weight]), optimizer="adam", **RATES)
    weight.grad = torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    adam.step()
    before = {name: value.clone() for name, value in adam.state[weight].items()}
    adam.state[weight]["exp_avg"] = adam.state[weight]["exp_avg"].contiguous()
    assert adam.state[weight]["exp_avg"].stride() != weight.stride()
    optimizers.restore_layouts(adam)
    assert adam.state[weight]["exp_avg"].stride() == adam.state[weight]["exp_avg_sq"].stride() == weight.stride()
    assert all(torch.equal(value, before[name]) for name, value in adam.state[weight].items())
