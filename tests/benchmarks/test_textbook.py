"""The textbook networks have the published sizes, and their loops train."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.textbook.loops import LOOPS, Images, dcgan_steps, images_of
from benchmarks.textbook.networks import MnistNetwork, ResNet18, discriminator, generator
from convzoo.data.arrays import Split


@pytest.mark.parametrize(
    ("network", "parameters", "given", "returned"),
    [
        (ResNet18, 11_173_962, (3, 32, 32), (10,)),
        (MnistNetwork, 1_199_882, (1, 28, 28), (10,)),
        (generator, 3_576_704, (100, 1, 1), (3, 64, 64)),
        (discriminator, 2_765_568, (3, 64, 64), (1,)),
    ],
)
def test_networks_have_the_published_parameters_and_shapes(network, parameters, given, returned):
    built = network()
    assert sum(weight.numel() for weight in built.parameters()) == parameters
    assert built.eval()(torch.zeros(2, *given)).shape == (2, *returned)


def split(count: int, side: int, channels: int) -> Split:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    return Split(images, np.arange(count, dtype=np.int64) % 10)


def test_images_are_scaled_and_augmented_one_by_one():
    plain = Images(split(3, 8, 3), [0.5] * 3, [0.25] * 3, crop=False)
    expected = (torch.from_numpy(plain.split.images[1]).permute(2, 0, 1) / 255 - 0.5) / 0.25
    torch.testing.assert_close(plain[1][0], expected)
    assert plain[1][1] == 1 and len(plain) == 3
    cropped = Images(plain.split, [0.5] * 3, [0.25] * 3, crop=True)
    torch.manual_seed(0)
    assert any(not torch.equal(cropped[1][0], expected) for _ in range(5))
    assert cropped[1][0].shape == expected.shape


@pytest.mark.parametrize(("network", "side", "channels"), [("cifar10-classifier", 32, 3), ("mnist-classifier", 28, 1)])
def test_the_classifiers_learn_a_batch_by_heart(network, side, channels):
    meta = {"shape": [side, side, channels], "mean": [0.5] * channels, "std": [0.3] * channels}
    loop, _, crop = LOOPS[network]
    assert crop == (network == "cifar10-classifier")
    images = images_of(split(4, side, channels), meta, network)
    images.crop = False
    torch.manual_seed(0)
    losses = loop(images, torch.device("cpu"), batch_size=4, workers=0)
    taken = [next(losses) for _ in range(8)]
    assert min(taken[3:]) < taken[0]


def test_a_dcgan_step_updates_both_players():
    g, d = generator(latents=100, width=2), discriminator(width=2)
    before = [{name: value.clone() for name, value in player.state_dict().items()} for player in (g, d)]
    real = torch.rand(3, 3, 64, 64) * 2 - 1
    steps = dcgan_steps((g, d), iter([(real, torch.zeros(3))]), torch.device("cpu"))
    assert next(steps) > 0
    for player, old in zip((g, d), before, strict=True):
        weights = dict(player.named_parameters())
        assert all(not torch.equal(weights[name], old[name]) for name in weights if weights[name].ndim == 4)
    with pytest.raises(StopIteration):
        next(steps)


def test_the_dcgan_gets_pixels_from_minus_one_to_one():
    images = images_of(split(2, 64, 3), {"shape": [64, 64, 3], "mean": [0.1] * 3, "std": [0.1] * 3}, "anime-dcgan")
    x, _ = images[0]
    assert -1 <= x.min() < -0.9 and 0.9 < x.max() <= 1
    assert isinstance(nn.Sequential(*generator())[-1], nn.Tanh)
