"""The floating-point operations that a training counts, against sums by hand."""

import pytest
import torch
from helpers.loops import CLASSES, noise, run_classifier, run_dcgan, run_head, run_tune
from torch import nn

from convzoo.training.flops import PETA, flops, image_flops

CONV = 2 * 8 * 3 * 9 * 16 * 16  # multiplications and additions of a 3x3 convolution, 3 to 8 channels, 16x16 pixels out
LINEAR = 2 * 8 * 5
COST = "train_petaflops"


def network() -> nn.Sequential:
    pool = [nn.BatchNorm2d(8), nn.AdaptiveMaxPool2d(1), nn.Flatten()]
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *pool, nn.Linear(8, 5))


def test_a_layer_costs_its_forward_pass_and_the_gradients_of_its_weights_and_of_its_input():
    assert image_flops(network(), (3, 16, 16)) == 2 * CONV + 3 * LINEAR  # nobody needs the gradient of the image


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=4),
        nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1, groups=8),
        nn.ConvTranspose2d(8, 4, 3, stride=2),
    ],
)
def test_each_gradient_of_a_grouped_convolution_costs_what_its_forward_pass_does(layer):
    images = torch.ones(2, 8, 16, 16)
    # Of a transposed convolution each input is multiplied with the kernel, of another one each output is.
    pixels = images[0, 0].numel() if isinstance(layer, nn.ConvTranspose2d) else layer(images)[0, 0].numel()
    forward = 2 * 2 * layer.weight.numel() * pixels
    assert flops(lambda: layer(images).detach()) == forward
    assert flops(lambda: layer(images)) == 2 * forward
    assert flops(lambda: layer(images.clone().requires_grad_())) == 3 * forward


def test_frozen_layers_cost_their_forward_pass_alone():
    frozen = network()
    frozen[0].requires_grad_(False), frozen[1].requires_grad_(False)
    assert image_flops(frozen, (3, 16, 16)) == CONV + 2 * LINEAR
    assert image_flops(frozen.requires_grad_(False), (3, 16, 16)) == CONV + LINEAR


def test_counting_changes_neither_the_network_nor_random_numbers():
    counted, state = network(), torch.get_rng_state()
    before = {name: value.clone() for name, value in counted.state_dict().items()}
    image_flops(counted, (3, 16, 16))
    assert all(torch.equal(value, before[name]) for name, value in counted.state_dict().items())
    assert counted.training and all(weight.grad is None for weight in counted.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_gradient_of_a_gradient_is_counted():
    weight = torch.ones(4, 4, requires_grad=True)

    def penalty() -> torch.Tensor:
        x = torch.ones(1, 4, requires_grad=True)
        [gradient] = torch.autograd.grad((x @ weight).square().sum(), x, create_graph=True)
        return gradient.square()

    # x W, its gradient by x, and for each of the two the gradients of both factors.
    assert flops(penalty) == 6 * 2 * 4 * 4


def fast_classifier(side: int) -> int:
    """Of an image: a frozen 2x2 stem of 24 maps, convolutions to 6 and 6, pooling between them, a linear layer."""
    stem, learning = 24 * 3 * 4 * (side - 1) ** 2, 6 * 24 * 9 * (side - 1) ** 2 + 6 * 6 * 9 * ((side - 1) // 2) ** 2
    return 2 * (stem + 3 * (learning + 6 * CLASSES))


@pytest.mark.parametrize(("sizes", "halves"), [([], (8, 8)), ([4, 8], (4, 8))])
def test_a_classifier_costs_its_steps_by_their_sizes(sizes, halves):
    rows = run_classifier(noise(12), noise(5), sizes=sizes, epochs=2, batch_size=6).state.history
    first, second = (2 * 6 * fast_classifier(side) / PETA for side in halves)
    assert [row[COST] for row in rows] == pytest.approx([first, first + second], rel=1e-12)


def test_a_dcgan_costs_discriminator_steps_generator_steps_and_penalties():
    sizes = {"latents": 7, "generator_width": 4, "discriminator_width": 5, "discriminator_norm": "none"}
    each = {"epochs": 1, "batch_size": 2, "discriminator_steps": 3}
    start, end = 2 * 7 * 4 * 16, 2 * 4 * 3 * 16 * 16  # of the generator: 1x1 -> 4x4 -> 8x8
    low, head = 2 * 3 * 5 * 16 * 16, 2 * 5 * 16  # of the discriminator: 8x8 -> 4x4 -> 1x1
    generation, discrimination = start + end, 2 * (2 * low + 3 * head)
    learning = 2 * (low + head) + start + 2 * end
    [row] = run_dcgan(noise(12), noise(5), r1=0, **each, **sizes).state.history
    assert row[COST] * PETA == pytest.approx(2 * (6 * (generation + discrimination) + 2 * learning), rel=1e-12)

    [penalised] = run_dcgan(noise(12), noise(5), r1=1, r1_every=4, **each, **sizes).state.history
    # The logit, its gradient by the image, and the gradients of both factors of that; then torch passes the gradient of
    # LeakyReLU's slope, which is zero, on to the weights of the first layer and to the image.
    penalty = 2 * (low + head) + 2 * (low + head) + 2 * low
    assert (penalised[COST] - row[COST]) * PETA == pytest.approx(2 * 2 * penalty, rel=1e-9)


def test_a_head_costs_the_features_once_and_tuning_comes_on_top():
    head = 2 * 8 * 8 * 3 * CLASSES
    rows = run_head(noise(12), noise(5), epochs=2, batch_size=6).state.history
    assert [row[COST] * PETA for row in rows] == pytest.approx([12 * 2 * head, 2 * 12 * 2 * head], rel=1e-12)
    top = 2 * 6 * 5 * 9 * 64
    below = 2 * (5 * 4 + 4 * 3) * 9 * 64
    rows = run_tune(noise(12), noise(5), epochs=2, batch_size=6, blocks=1).state.history
    image = below + 2 * top + 3 * 2 * 6 * CLASSES
    assert [row[COST] * PETA for row in rows] == pytest.approx([12 * image, 2 * 12 * image], rel=1e-12)
