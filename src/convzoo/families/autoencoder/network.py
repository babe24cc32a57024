"""Convolutional autoencoders: `fast`, built around PCA, and `reference`, the layout of the course notebook."""

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
    """A residual block of two 3x3 convolutions."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = ACTIVATIONS[activation]()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.act(self.conv1(x)))


class Correction(nn.Module):
    """Compute a correction to an image: strided convolutions down, residual blocks, transposed convolutions up.

    Floats (B, `channels`, height, width) in and out. The last layer starts at zero, and so does the output. The other
    layers start with weights large enough for the activations to be nonlinear: a correction that is linear in the image
    cannot improve on principal components, so the first steps would have no descent direction.
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
        self.position = nn.Parameter(
            torch.zeros(1, features, height, width)
        )  # learned position embedding, because borders differ
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
    """Linear maps into and out of the bottleneck, with a correction before and after them.

    The encoder adds a correction to the image and maps the sum linearly to `latent` numbers. The decoder maps them
    linearly to an image and adds another correction. Since corrections start at zero, a network whose linear maps were
    set by `start_at` starts as principal component analysis.
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
        """Return the weights of the linear path, which have a separate learning rate."""
        return list(self.linear.parameters())

    def encode(self, x: Tensor) -> Tensor:
        """Encode floats (B, C, H, W) as latents (B, `latent`)."""
        x = x - self.mean
        x = x + self.encoder(x)
        with torch.autocast(x.device.type, enabled=False):  # high PSNRs need full precision
            return self.linear["encoder"](x.float().flatten(1))

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, `latent`) into floats (B, C, H, W)."""
        with torch.autocast(latents.device.type, enabled=False):
            x = self.linear["decoder"](latents.float()).unflatten(1, self.shape)
        return x + self.decoder(x - self.mean)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @torch.no_grad()
    def start_at(self, mean: Tensor, components: Tensor) -> None:
        """Set the linear path to principal components (`latent`, C * H * W) around the mean image (C * H * W)."""
        self.mean.copy_(mean.view(self.shape))
        self.linear["encoder"].weight.copy_(components)
        self.linear["decoder"].weight.copy_(components.T)
        self.linear["decoder"].bias.copy_(mean)


class Reference(nn.Module):
    """The layout of the course notebook: 3x3 convolutions at full resolution, without a bottleneck.

    With 8 and 4 maps, an image of 32x32x3 becomes 4,096 numbers, more than its 3,072 pixel values.
    """

    def __init__(self, channels: int, activation: str, height: int, width: int, features: list[int]) -> None:
        super().__init__()
        self.maps = (features[-1], height, width)
        self.encoder = _convolutions([channels, *features], activation)
        self.encoder.append(ACTIVATIONS[activation]())
        self.decoder = _convolutions([*reversed(features), channels], activation)

    def linear_parameters(self) -> list[nn.Parameter]:
        """Return nothing, since there is no linear path."""
        return []

    def encode(self, x: Tensor) -> Tensor:
        """Encode floats (B, C, H, W) as latents (B, maps * H * W)."""
        return self.encoder(x).flatten(1)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, maps * H * W) into floats (B, C, H, W)."""
        return self.decoder(latents.unflatten(1, self.maps))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class PixelEncoder(nn.Module):
    """The exported form of the encoder: images uint8 (B, H, W, C) in, latents float32 (B, L) out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.body = network  # the attribute's name becomes part of the tensor names in the ONNX file
        self.register_buffer("mean", torch.tensor(MEAN))
        self.register_buffer("std", torch.tensor(STD))

    def forward(self, images: Tensor) -> Tensor:
        return self.body.encode(to_floats(images, self.mean, self.std))


class PixelDecoder(nn.Module):
    """The exported form of the decoder: latents float32 (B, L) in, images uint8 (B, H, W, C) out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.body = network  # the attribute's name becomes part of the tensor names in the ONNX file

    def forward(self, latents: Tensor) -> Tensor:
        return to_pixels(self.body.decode(latents))


class PixelAutoencoder(nn.Module):
    """The exported form of the network: images uint8 (B, H, W, C) in, reconstructions uint8 (B, H, W, C) out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.encoder = PixelEncoder(network)
        self.decoder = PixelDecoder(network)

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.encoder(images))


def scale(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation to scale floats with, as arguments of `to_floats`."""
    return torch.full((), MEAN, device=device), torch.full((), STD, device=device)


def to_pixels(x: Tensor) -> Tensor:
    """Convert floats (B, C, H, W) to uint8 (B, H, W, C): rounded and clipped."""
    levels = ((x * STD + MEAN) * 255).permute(0, 2, 3, 1)
    return levels.round().clamp(0, 255).to(torch.uint8)


def build(architecture: str, arguments: dict) -> nn.Module:
    """Build the network that architecture.json describes, channels-last, with initial weights from the global seed."""
    network = {"fast": Fast, "reference": Reference}[architecture](**arguments)
    return network.to(memory_format=torch.channels_last)


def _convolutions(sizes: list[int], activation: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [ACTIVATIONS[activation]()] if layers else []
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
    return nn.Sequential(*layers)
