"""What holds for both players of every DCGAN of the zoo, and for what they play for."""

import numpy as np
import pytest
import torch
from helpers.small.dcgan import KINDS, SHAPES, players_of
from torch import nn

from convzoo.families.dcgan import network as dcgan
from convzoo.families.dcgan.augmentation import diff_augment, draw_augmentation
from convzoo.families.dcgan.latents import choosing, chosen_classes
from convzoo.families.dcgan.network import Discriminator, Generator, build, samples, sides
from convzoo.families.dcgan.settings import AugmentSettings


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def players(shape: tuple[int, int], norm: str = "batch", spectral: bool = False) -> tuple[Generator, Discriminator]:
    return build(*players_of(shape, norm, spectral))


def noise(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 100, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [1, 7])
def test_generated_images_are_of_the_right_shape_and_from_minus_one_to_one(shape, count):
    generator, _ = players(shape)
    x = generator.eval()(noise(count))
    assert x.shape == (count, shape[1], shape[0], shape[0])
    assert x.abs().max() <= 1


def test_the_layers_are_those_of_the_paper(shape):
    generator, discriminator = players(shape)
    allowed = (nn.Sequential, nn.ModuleList, Generator, Discriminator, nn.BatchNorm2d)
    up, down = list(generator.modules()), list(discriminator.modules())
    assert all(isinstance(layer, (*allowed, nn.ConvTranspose2d, nn.ReLU, nn.Tanh)) for layer in up)
    assert all(isinstance(layer, (*allowed, nn.Conv2d, nn.LeakyReLU)) for layer in down)

    raising = [layer for layer in up if isinstance(layer, nn.ConvTranspose2d)]
    lowering = [layer for layer in down if isinstance(layer, nn.Conv2d)]
    halvings = len(sides(shape[0])) - 1
    assert [layer.stride for layer in raising] == [(1, 1)] + [(2, 2)] * halvings
    assert [layer.stride for layer in lowering] == [(2, 2)] * halvings + [(1, 1)]
    # BatchNorm after all but the generator's last layer, and the discriminator's first and last.
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in up) == len(raising) - 1
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in down) == len(lowering) - 2
    assert [type(layer) for layer in generator.layers][-3:] == [nn.ReLU, nn.ConvTranspose2d, nn.Tanh]
    assert [type(layer) for layer in discriminator.blocks[0]] == [nn.Conv2d, nn.LeakyReLU]
    assert {layer.negative_slope for layer in down if isinstance(layer, nn.LeakyReLU)} == {0.2}
    assert raising[0].in_channels == 100


def test_the_first_weights_are_normal_with_a_deviation_of_two_hundredths():
    torch.manual_seed(0)
    generator, discriminator = build(
        {"size": 64, "channels": 3, "width": 32, "latents": 100},
        {"size": 64, "channels": 3, "width": 32, "leak": 0.2, "norm": "batch", "spectral": False},
    )
    for layer in [*generator.modules(), *discriminator.modules()]:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.numel() > 1000:
            assert layer.weight.mean().item() == pytest.approx(0, abs=0.002)
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_the_kinds_of_norm_build_what_they_say(shape, kind):
    norm, spectral = kind
    _, discriminator = players(shape, norm, spectral)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules()) == (norm == "batch")
    convolutions = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d)]
    assert {hasattr(layer, "parametrizations") for layer in convolutions} == {spectral}
    if spectral:
        for _ in range(30):  # a power iteration each
            discriminator.train()(torch.randn(2, shape[1], shape[0], shape[0]))
        largest = [torch.linalg.svdvals(layer.weight.flatten(1))[0].item() for layer in convolutions]
        assert largest == pytest.approx([1] * len(largest), abs=0.1)


@pytest.mark.parametrize(("size", "expected"), [(28, [28, 14, 7, 4]), (32, [32, 16, 8, 4]), (64, [64, 32, 16, 8, 4])])
def test_sides_are_halved_down_to_four(size, expected):
    assert sides(size) == expected


@pytest.mark.parametrize("size", [4, 3, 20, 96])
def test_a_size_that_does_not_come_to_four_is_refused(size):
    with pytest.raises(ValueError, match=f"pictures of {size}x{size} cannot be halved down to 4x4"):
        Generator(latents=8, width=4, size=size, channels=1)


def test_samples_leave_mode_and_statistics_as_they_were():
    generator, _ = players((28, 1))
    generator(noise(20))
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    images = samples(generator.train(), noise(5).numpy(), batch_size=2)
    assert generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert images.dtype == np.uint8
    assert images.shape == (5, 28, 28, 1)
    assert np.array_equal(images[3:4], samples(generator, noise(5).numpy()[3:4])), "no picture depends on another"
    generator.eval()
    samples(generator, noise(2).numpy())
    assert not generator.training


def test_pixels_go_to_floats_and_back():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1)
    x = dcgan.to_signed(levels)
    assert (x.min().item(), x.max().item()) == (-1, 1)
    assert torch.equal(dcgan.to_pixels(x), levels)


def test_features_are_the_largest_values_of_a_4x4_grid():
    _, discriminator = players((28, 1))
    images = torch.randint(256, (3, 28, 28, 1), dtype=torch.uint8)
    found = dcgan.DiscriminatorFeatures(discriminator.eval())(images)
    assert found.shape == (3, 16 * (4 + 8 + 16))
    first = discriminator.blocks[0](dcgan.to_signed(images))  # 14x14
    assert found[0, 0] == first[0, 0, :4, :4].max()
    assert found[0, 15] == first[0, 0, 12:, 12:].max()


CLASSES = 3


def test_a_conditional_generator_sees_the_chosen_class_and_the_other_latents():
    generator, _ = (player.eval() for player in conditional())
    latents = noise(20)
    same = latents.clone()
    same[:, :CLASSES] = 0
    same[torch.arange(20), latents[:, :CLASSES].argmax(1)] = 0.1
    torch.testing.assert_close(generator(latents), generator(same))
    rows = [generator(torch.from_numpy(choosing(latents.numpy(), CLASSES, chosen))) for chosen in range(CLASSES)]
    assert all((rows[0] != row).flatten(1).any(1).all() for row in rows[1:])
    seen = []
    generator.layers.register_forward_pre_hook(lambda part, arguments: seen.append(arguments[0].flatten(1)))
    generator(latents)
    assert torch.equal(seen[0][:, CLASSES:], latents[:, CLASSES:])
    assert torch.equal(seen[0][:, :CLASSES].square().sum(1).round(decimals=4), torch.full((20,), float(CLASSES)))


def test_latents_that_are_made_to_choose_a_class_keep_their_numbers():
    latents = noise(50).numpy()
    for chosen in range(CLASSES):
        changed = choosing(latents, CLASSES, chosen)
        assert (chosen_classes(changed, CLASSES) == chosen).all()
        assert np.array_equal(np.sort(changed[:, :CLASSES]), np.sort(latents[:, :CLASSES]))
        assert np.array_equal(changed[:, CLASSES:], latents[:, CLASSES:])
    assert len(set(chosen_classes(latents, CLASSES))) == CLASSES


def test_a_conditional_discriminator_judges_by_class():
    _, discriminator = (player.eval() for player in conditional())
    x = torch.randn(6, 3, 32, 32)
    by_class = torch.stack([discriminator(x, torch.full((6,), label)) for label in range(CLASSES)])
    assert by_class.std(dim=0).min() > 1e-4
    mixed = torch.arange(6) % CLASSES
    torch.testing.assert_close(discriminator(x, mixed), by_class[mixed, torch.arange(6)])
    with torch.no_grad():  # what all classes share
        discriminator.head.bias[0] += 1
    torch.testing.assert_close(discriminator(x, mixed), by_class[mixed, torch.arange(6)] + 1)


def conditional() -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    return build(*players_of((32, 3), classes=CLASSES))


def test_losses_take_their_known_values():
    sure, even = torch.tensor([2.0, 0.5]), torch.zeros(2)
    hinge = dcgan.discriminator_loss("hinge", sure, -sure, 0.0)
    assert hinge.item() == pytest.approx(2 * 0.25)
    assert dcgan.generator_loss("hinge", sure, even).item() == pytest.approx(-1.25)
    assert dcgan.discriminator_loss("bce", even, even, 0.0).item() == pytest.approx(2 * np.log(2))
    assert dcgan.generator_loss("bce", even, sure).item() == pytest.approx(np.log(2))
    # One-sided: with the smoothing, being sure of real images costs, being sure of generated ones does not.
    far = torch.full((4,), 20.0)
    assert dcgan.discriminator_loss("bce", far, -far, 0.1).item() == pytest.approx(2, abs=1e-4)
    assert dcgan.discriminator_loss("bce", far, -far, 0.0).item() == pytest.approx(0, abs=1e-4)


def test_the_relativistic_loss_compares_real_and_generated_images_in_pairs():
    on_real, on_fake = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 2.0])
    pairs = [np.log(1 + np.exp(-2)), np.log(1 + np.exp(2))]
    assert dcgan.discriminator_loss("relativistic", on_real, on_fake, 0.0).item() == pytest.approx(np.mean(pairs))
    assert dcgan.generator_loss("relativistic", on_fake, on_real).item() == pytest.approx(np.mean(pairs))
    better = dcgan.generator_loss("relativistic", on_fake + 1, on_real).item()
    assert better < np.mean(pairs) < dcgan.discriminator_loss("relativistic", on_real, on_fake + 1, 0.0).item()


def test_r1_is_the_squared_norm_of_the_gradient():
    class Slope(nn.Module):
        def forward(self, x, labels):
            return 3 * x[:, 0, 0, 0] + 4 * x[:, 0, 0, 1]

    assert dcgan.gradient_penalty(Slope(), torch.zeros(5, 1, 2, 2)).item() == pytest.approx(25)
    _, discriminator = players((28, 1), "none")
    dcgan.gradient_penalty(discriminator, torch.randn(4, 1, 28, 28)).backward()
    assert discriminator.blocks[1][0].weight.grad.abs().sum() > 0


NOTHING = AugmentSettings(flip=False, shift=0, brightness=0.0, saturation=0.0, contrast=0.0, cutout=0)
EACH = [{"flip": True}, {"shift": 3}, {"brightness": 0.3}, {"saturation": 0.9}, {"contrast": 0.5}, {"cutout": 4}]


@pytest.mark.parametrize("changes", EACH)
def test_each_augmentation_changes_pictures_the_same_for_the_same_seed_and_lets_gradients_through(changes):
    x = torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(0)).clamp(-1, 1).requires_grad_()
    settings = NOTHING.model_copy(update=changes)

    def augmented(seed: int) -> torch.Tensor:
        return diff_augment(x, settings, draw_augmentation(6, 12, 12, settings, torch.Generator().manual_seed(seed)))

    found = augmented(1)
    assert found.shape == x.shape
    assert not torch.equal(found, x)
    assert torch.equal(found, augmented(1))
    assert not torch.equal(found, augmented(2))
    found.square().sum().backward()
    assert (x.grad != 0).flatten(1).any(1).all()


def test_no_augmentation_leaves_pictures_as_they_are():
    x = torch.randn(6, 3, 12, 12)
    assert torch.equal(diff_augment(x, NOTHING, draw_augmentation(6, 12, 12, NOTHING, torch.Generator())), x)
