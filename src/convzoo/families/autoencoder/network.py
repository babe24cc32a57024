"""Convolutional autoencoders: `fast`, built around principal components, and `reference`, the original's layout."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from convzoo.data.pixels import to_floats

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}

# Pixels as floats from -1 to 1: one scale for all channels, so that the loss is the error in pixels.
MEAN, STD = 0.5, 0.5


class Block(nn.Module):
    """Two 3x3 convolutions beside a skip connection."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = ACTIVATIONS[activation]()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.act(self.conv1(x)))


class Correction(nn.Module):
    """What is added to a picture: strided convolutions down, residual blocks, transposed convolutions up.

    Floats (B, `channels`, height, width) in and out. It starts as zero everywhere, by its last layer alone: the others
    start so wide that activations bend, since what is linear in a picture cannot better principal components, and the
    first steps would find no way down.
    """

    def __init__(
        self, channels: int, height: int, width: int, features: int, strides: list[int], blocks: int, activation: str
    ) -> None:
        super().__init__()
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        inputs = channels
        for stride in strides:  # 32x32 -> 8x8 with [4]
            down += [ACTIVATIONS[activation]()] if down else []
            down.append(nn.Conv2d(inputs, features, stride, stride))
            up = [
                nn.ConvTranspose2d(features, inputs, stride, stride),
                *([ACTIVATIONS[activation]()] if up else []),
                *up,
            ]
            inputs = features
            height, width = height // stride, width // stride
        self.down = nn.Sequential(*down)
        self.position = nn.Parameter(torch.zeros(1, features, height, width))  # where in the picture, as in its borders
        self.blocks = nn.Sequential(*[Block(features, activation) for _ in range(blocks)])
        self.up = nn.Sequential(*up)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.up[-1].weight)
        nn.init.zeros_(self.up[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.blocks(self.down(x) + self.position))


class Fast(nn.Module):
    """A correction before and after the bottleneck, and linear maps into it and out of it.

    Encoder: strided convolutions correct the picture, a linear map makes `latent` numbers of it. Decoder: a linear map
    makes a picture of them, strided and transposed convolutions correct it. Since a correction starts as zero, a
    network whose linear maps were set by `start_at` begins as principal component analysis.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: int,
        activation: str,
        latent: int,
        features: int,
        strides: list[int],
        encoder_blocks: int,
        decoder_blocks: int,
    ) -> None:
        super().__init__()
        self.shape = (channels, height, width)
        pixels = channels * height * width
        shape = (channels, height, width, features, strides)
        self.encoder = Correction(*shape, encoder_blocks, activation)
        self.decoder = Correction(*shape, decoder_blocks, activation)
        self.linear = nn.ModuleDict(
            {"encoder": nn.Linear(pixels, latent, bias=False), "decoder": nn.Linear(latent, pixels)}
        )
        self.register_buffer("mean", torch.zeros(self.shape))

    def linear_parameters(self) -> list[nn.Parameter]:
        """The linear path's weights, which want a learning rate of their own."""
        return list(self.linear.parameters())

    def encode(self, x: Tensor) -> Tensor:
        """Latents (B, `latent`) of floats (B, C, H, W)."""
        x = x - self.mean
        x = x + self.encoder(x)
        with torch.autocast(x.device.type, enabled=False):  # a picture's last decibels need all digits
            return self.linear["encoder"](x.float().flatten(1))

    def decode(self, latents: Tensor) -> Tensor:
        """Floats (B, C, H, W) of latents (B, `latent`)."""
        with torch.autocast(latents.device.type, enabled=False):
            x = self.linear["decoder"](latents.float()).unflatten(1, self.shape)
        return x + self.decoder(x - self.mean)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @torch.no_grad()
    def start_at(self, mean: Tensor, components: Tensor) -> None:
        """Set the linear path to principal components (`latent`, C * H * W) around the picture `mean` (C * H * W)."""
        self.mean.copy_(mean.view(self.shape))
        self.linear["encoder"].weight.copy_(components)
        self.linear["decoder"].weight.copy_(components.T)
        self.linear["decoder"].bias.copy_(mean)


class Reference(nn.Module):
    """The original's layout: 3x3 convolutions at full size, each half as wide as the one before; no bottleneck.

    With 8 and 4 maps a picture of 32x32x3 becomes 4,096 numbers, more than its 3,072 pixel values.
    """

    def __init__(self, channels: int, activation: str, height: int, width: int, features: list[int]) -> None:
        super().__init__()
        self.maps = (features[-1], height, width)
        self.encoder = _convolutions([channels, *features], activation)
        self.encoder.append(ACTIVATIONS[activation]())
        self.decoder = _convolutions([*reversed(features), channels], activation)

    def linear_parameters(self) -> list[nn.Parameter]:
        """None: there is no linear path."""
        return []

    def encode(self, x: Tensor) -> Tensor:
        """Latents (B, maps * H * W) of floats (B, C, H, W)."""
        return self.encoder(x).flatten(1)

    def decode(self, latents: Tensor) -> Tensor:
        """Floats (B, C, H, W) of latents (B, maps * H * W)."""
        return self.decoder(latents.unflatten(1, self.maps))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class PixelEncoder(nn.Module):
    """The exported form of the encoder: images uint8 (B, H, W, C) in, latents float32 (B, L) out."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", torch.tensor(MEAN))
        self.register_buffer("std", torch.tensor(STD))

    def forward(self, images: Tensor) -> Tensor:
        return self.body.encode(to_floats(images, self.mean, self.std))


class PixelDecoder(nn.Module):
    """The exported form of the decoder: latents float32 (B, L) in, images uint8 (B, H, W, C) out."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, latents: Tensor) -> Tensor:
        return to_pixels(self.body.decode(latents))


class PixelAutoencoder(nn.Module):
    """The exported form of the network: images uint8 (B, H, W, C) in, reconstructions uint8 (B, H, W, C) out."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.encoder = PixelEncoder(body)
        self.decoder = PixelDecoder(body)

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.encoder(images))


def scale(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation that floats are scaled with, as `to_floats` takes them."""
    return torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)


def to_pixels(x: Tensor) -> Tensor:
    """Floats (B, C, H, W) as uint8 (B, H, W, C): rounded, and cut off at black and white."""
    levels = ((x * STD + MEAN) * 255).permute(0, 2, 3, 1)
    return levels.round().clamp(0, 255).to(torch.uint8)


def build(architecture: str, arguments: dict) -> nn.Module:
    """The network that architecture.json describes, channels-last; its weights are those of the global seed."""
    network = {"fast": Fast, "reference": Reference}[architecture](**arguments)
    return network.to(memory_format=torch.channels_last)


def _convolutions(sizes: list[int], activation: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [ACTIVATIONS[activation]()] if layers else []
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
    return nn.Sequential(*layers)
