"""What holds for every classifier, in both architectures."""

import pytest
import torch
from helpers.small.classifier import CLASSIFIER, FAST, REFERENCE
from helpers.small.images import shapes
from torch import nn

from convzoo.data.pixels import to_floats
from convzoo.families.classifier.network import ACTIVATIONS, Block, build
from convzoo.families.classifier.settings import misfits
from convzoo.families.probabilities.network import PixelClassifier


def inputs(arguments: dict, count: int) -> torch.Tensor:
    return torch.randn(count, arguments["channels"], 28, 28, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_params_builds_and_differs(activation):
    torch.manual_seed(0)
    network = build("fast", FAST | {"logit_scale": 1.0, "activation": activation})
    assert any(isinstance(layer, ACTIVATIONS[activation]) for layer in network.modules())
    assert network.eval()(inputs(FAST, 2)).isfinite().all()


def test_a_layout_that_pools_the_picture_away_is_refused():
    with pytest.raises(ValueError, match="pool the picture away"):
        build("reference", REFERENCE | {"blocks": [[8]] * 5, "padding": "valid", "dropout": 0.0})


def test_whitening_makes_the_patches_of_the_train_images_uncorrelated():
    network = build("fast", FAST)
    x = to_floats(torch.from_numpy(shapes(200, 0).images), torch.tensor([0.2]), torch.tensor([0.3]))
    network.whiten(x, epsilon=0.0)
    patches = nn.functional.conv2d(x, network.stem.weight[:4]).transpose(0, 1).flatten(1)
    torch.testing.assert_close(patches @ patches.T / patches.shape[1], torch.eye(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(network.stem.weight[4:], -network.stem.weight[:4])
    assert not network.stem.weight.requires_grad


def test_pixels_are_scaled_channels_last():
    images = torch.full((2, 4, 4, 3), 255, dtype=torch.uint8)
    x = to_floats(images, torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.25, 1.0]))
    assert x.shape == (2, 3, 4, 4)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x[0, :, 0, 0].tolist() == [1.0, 2.0, 1.0]


def test_a_layout_with_a_dense_layer_takes_images_of_one_size():
    settings = CLASSIFIER.settings(sizes=[28])
    assert not list(misfits(settings, 28, 28))
    [(key, message)] = misfits(settings.model_copy(update={"architecture": "reference"}), 28, 28)
    assert key == ("sizes",) and message.startswith("got [28], expected []")


def test_a_third_convolution_has_a_shortcut_from_the_first():
    block = Block(3, 5, [3, 3, 3], 5, "tanh", dirac=False).eval()
    x = torch.randn(2, 3, 6, 6)
    first = nn.functional.max_pool2d(block.conv1(x), 2).div((1 + block.norm1.eps) ** 0.5).tanh()
    second = block.conv2(first).div((1 + block.norm2.eps) ** 0.5).tanh()
    third = block.conv3(second).div((1 + block.norm3.eps) ** 0.5).tanh()
    torch.testing.assert_close(block(x), first + third)
    whole = Block(5, 5, [3, 3, 3], 5, "tanh", dirac=True)
    assert all(torch.equal(whole.conv3(x), x) for x in [torch.randn(2, 5, 4, 4)])


def test_blocks_have_the_kernels_and_middles_of_the_settings_and_keep_the_size_of_the_maps():
    sizes, middles = [[3, 1, 1], [2, 3, 1]], [4, 6]
    network = build("fast", FAST | {"convolutions": 3, "kernels": sizes, "middles": middles})
    for block, kernels, middle in zip(network.blocks, sizes, middles, strict=True):
        layers = [block.conv1, block.conv2, block.conv3]
        assert [layer.kernel_size for layer in layers] == [(size, size) for size in kernels]
        assert layers[1].out_channels == layers[2].in_channels == middle
        x = torch.randn(2, block.conv1.in_channels, 9, 9)
        assert block.conv1(x).shape[2:] == x.shape[2:] and block(x).shape[2:] == (4, 4)
    plain = build("fast", FAST | {"convolutions": 3})
    assert {tuple(weight.shape[2:]) for name, weight in plain.named_parameters() if "conv" in name} == {(3, 3)}


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"convolutions": 3, "kernels": [[3, 1, 1]]}, "kernels", "expected 2 rows of 3 sizes"),
        ({"convolutions": 2, "kernels": [[3, 3], [3, 3, 1]]}, "kernels", "expected 2 rows of 2 sizes"),
        ({"convolutions": 3, "middles": [8]}, "middles", "got [8], expected 2 numbers, one for each block"),
        ({"convolutions": 2, "middles": [8, 8]}, "middles", "expected [] with two convolutions"),
    ],
)
def test_kernels_and_middles_must_have_an_entry_for_each_block(changes, key, expected):
    settings = CLASSIFIER.settings()
    changed = settings.model_copy(update={"fast": settings.fast.model_copy(update=changes)})
    [(found, message)] = misfits(changed, 28, 28)
    assert found == ("fast", key) and expected in message
    assert not list(misfits(changed.model_copy(update={"architecture": "reference"}), 28, 28))


def test_the_head_sees_the_maximum_of_each_map_and_the_mean_beside_it():
    network = build("fast", FAST | {"pooling": "max_mean"}).eval()
    x, seen = inputs(FAST, 2), []
    network.head.register_forward_pre_hook(lambda part, arguments: seen.append(arguments[0]))
    network(x)
    maps = network.blocks(network.stem_act(network.stem(x)))
    torch.testing.assert_close(seen[0], torch.cat([maps.flatten(2).amax(2), maps.flatten(2).mean(2)], dim=1))


class Corners(nn.Module):
    """A body whose logits are the left and right half of the top left pixel's row, to see what a view does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0, 0, :14].sum(1), x[:, 0, 0, 14:].sum(1)], dim=1) / 14


@pytest.mark.parametrize(
    ("views", "expected"), [("identity", [1.0, 0.0]), ("mirror", [0.5, 0.5]), ("mirror_shift", [0.5, 0.5])]
)
def test_views_are_averaged_inside_the_graph(views, expected):
    images = torch.zeros((1, 28, 28, 1), dtype=torch.uint8)
    images[:, :, :14] = 255
    probabilities = PixelClassifier(Corners(), [0.0], [1.0], views)(images)
    torch.testing.assert_close(probabilities[0], torch.tensor(expected).softmax(0))


def test_the_shifted_view_sees_the_neighbouring_pixels():
    images = torch.zeros((1, 28, 28, 1), dtype=torch.uint8)
    images[:, 1, :14] = 255  # a bright row just below the one that the body looks at
    logits = PixelClassifier(Corners(), [0.0], [1.0], "shift")(images).log()
    # Padding mirrors that row to the place above the picture: up-left and down-right both meet it, 13 of 14 columns
    # or all of them being bright.
    assert (logits[0, 0] - logits[0, 1]).item() > 0.4
