"""What holds for the networks of every family, in each architecture of `helpers.small`."""

import pytest
import torch
from helpers.small import FAMILIES
from torch import nn

from convzoo.families.find import family_module

ZOO = [
    pytest.param(name, *built, id=f"{name}, {kind}")
    for name, family in FAMILIES.items()
    for kind, built in family.zoo.items()
]
of_each_network = pytest.mark.parametrize(("family", "arguments", "given", "returned"), ZOO, indirect=["family"])


class Players(nn.Module):
    """The logits of a discriminator for what a generator makes, of the classes that its latents choose, if any."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        classes = self.generator.classes
        return self.discriminator(self.generator(latents), latents[:, :classes].argmax(1) if classes else None)


def build(family, arguments: tuple) -> nn.Module:
    """The network, or both players."""
    built = family_module(family.name, "network").build(*arguments)
    return Players(*built) if isinstance(built, tuple) else built


def inputs(shape: tuple, count: int) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


@of_each_network
@pytest.mark.parametrize("count", [1, 7])
def test_results_are_finite_and_of_the_right_shape(family, arguments, given, returned, count):
    with torch.no_grad():
        results = build(family, arguments).eval()(inputs(given, count))
    assert results.shape == (count, *returned)
    assert results.isfinite().all()


@of_each_network
def test_every_trained_parameter_receives_a_gradient(family, arguments, given, returned):
    network = build(family, arguments).train()
    with torch.no_grad():  # a correction that starts as zero passes no gradient on before the second step
        for number, weight in enumerate(network.parameters()):
            weight += 0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
    network(inputs(given, 7)).square().sum().backward()
    trained = {name: weight.grad for name, weight in network.named_parameters() if weight.requires_grad}
    assert [name for name, gradient in trained.items() if gradient is None or not gradient.any()] == []


@of_each_network
def test_the_same_seed_gives_the_same_weights(family, arguments, given, returned):
    def weights(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(build(family, arguments).state_dict().values())

    first = weights(1)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, weights(2), strict=True))
