"""What holds for every autoencoder, in both architectures."""

import pytest
import torch
from helpers.small.autoencoder import AUTOENCODER, FAST, PICTURE, small_settings
from helpers.small.images import pictures

from convzoo.data.pixels import to_floats
from convzoo.families.autoencoder.network import (
    ACTIVATIONS,
    PixelAutoencoder,
    PixelDecoder,
    PixelEncoder,
    build,
    scale,
    to_pixels,
)
from convzoo.families.autoencoder.train import build_optimizers


def inputs(arguments: dict, count: int) -> torch.Tensor:
    shape = (count, arguments["channels"], arguments["height"], arguments["width"])
    return torch.randn(shape, generator=torch.Generator().manual_seed(count))


@pytest.fixture(params=AUTOENCODER.zoo)
def described(request):
    return AUTOENCODER.zoo[request.param][0]


@pytest.mark.parametrize("count", [1, 7])
def test_a_reconstruction_is_what_is_decoded_from_the_latents(described, count):
    network, x = build(*described).eval(), inputs(described[1], count)
    latents = network.encode(x)
    maps = described[1]["features"][-1] * 16 * 16 if described[0] == "reference" else 12
    assert latents.shape == (count, maps)
    torch.testing.assert_close(network(x), network.decode(latents))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_params_builds_and_differs(activation):
    network = build("fast", FAST | {"activation": activation})
    assert any(isinstance(layer, ACTIVATIONS[activation]) for layer in network.modules())
    assert network.eval()(inputs(FAST, 2)).isfinite().all()


def test_the_encoder_is_strided_and_the_decoder_its_mirror_image():
    network = build("fast", FAST | {"strides": [2, 4]})
    down = [layer for layer in network.encoder.down if isinstance(layer, torch.nn.Conv2d)]
    up = [layer for layer in network.decoder.up if isinstance(layer, torch.nn.ConvTranspose2d)]
    assert [layer.stride for layer in down] == [(2, 2), (4, 4)]
    assert [layer.stride for layer in up] == [(4, 4), (2, 2)]
    assert not [layer for layer in network.modules() if "Pool" in type(layer).__name__]


def test_the_reference_has_no_bottleneck():
    assert build("reference", PICTURE | {"features": [8, 4]}).encode(inputs(PICTURE, 1)).numel() > 16 * 16 * 3


def test_a_network_without_correction_is_its_linear_path():
    network, x = build("fast", FAST), inputs(FAST, 3)
    mean, components = torch.randn(768), torch.linalg.qr(torch.randn(768, 12))[0].T
    network.start_at(mean, components)
    flat = x.flatten(1) - mean
    torch.testing.assert_close(network.encode(x), flat @ components.T)
    torch.testing.assert_close(network(x).flatten(1), flat @ components.T @ components + mean)


@pytest.mark.parametrize("architecture", ["fast", "reference"])
def test_32_pictures_are_learned_by_heart(architecture):
    torch.manual_seed(0)
    settings = small_settings(learning_rate=3e-3, linear_learning_rate=3e-3)
    arguments = FAST | {"latent": 32} if architecture == "fast" else PICTURE | {"features": [8, 4]}
    body = build(architecture, arguments)
    [optimizer] = build_optimizers(body, settings)
    x = to_floats(torch.from_numpy(pictures(32, 0).images), *scale(torch.device("cpu")))
    before = (body(x) - x).square().mean().item()
    for _ in range(300):
        loss = (body(x) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02 * before


def test_pixels_are_rounded_and_cut_off_at_black_and_white():
    x = torch.tensor([-1.5, -1, -0.5, 2 * 100.4 / 255 - 1, 2 * 100.6 / 255 - 1, 1.0, 9.0]).view(1, 1, 1, 7)
    assert to_pixels(x).flatten().tolist() == [0, 0, 64, 100, 101, 255, 255]
    images = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1)
    assert torch.equal(to_pixels(to_floats(images, *scale(images.device))), images)


def test_what_ships_is_encoder_and_decoder_together():
    body, images = build("fast", FAST).eval(), torch.from_numpy(pictures(3, 0).images)
    made = PixelAutoencoder(body)(images)
    assert made.dtype == torch.uint8 and made.shape == images.shape
    assert torch.equal(made, PixelDecoder(body)(PixelEncoder(body)(images)))


def test_the_linear_path_has_a_rate_of_its_own_and_no_weight_decay():
    settings = small_settings(learning_rate=0.5, linear_learning_rate=0.25, weight_decay=0.1)
    body = build("fast", FAST)
    [optimizer] = build_optimizers(body, settings)
    linear = {id(weight) for weight in body.linear_parameters()}
    groups = {id(w): group for group in optimizer.param_groups for w in group["params"]}
    assert groups.keys() == {id(weight) for weight in body.parameters()}
    for weight, group in groups.items():
        assert group["peak"] == (0.25 if weight in linear else 0.5)
        assert weight not in linear or group["weight_decay"] == 0
