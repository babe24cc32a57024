"""DCGAN's two players, after Radford, Metz and Chintala 2016 (https://arxiv.org/abs/1511.06434).

The generator makes pictures of noise by transposed convolutions, the discriminator tells them from real ones by strided
convolutions: no pooling, no hidden linear layer, BatchNorm in both but for the generator's output and the
discriminator's input, ReLU and tanh in the one, LeakyReLU in the other, weights from N(0, 0.02).
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from convzoo.data.pixels import to_floats

SMALLEST = 4  # pixels: the side at which the generator starts and the discriminator's body ends
STD = 0.02  # of the first weights
MIDDLE = 0.5  # mean and standard deviation that bring pixels to -1 to 1, tanh's range


def sides(size: int) -> list[int]:
    """The sides of a picture that is halved, rounded up, until 4 pixels are left: 28, 14, 7, 4 or 64, 32, 16, 8, 4.

    Raises ValueError for a size that does not come to 4.
    """
    found = [size]
    while found[-1] > SMALLEST:
        found.append((found[-1] + 1) // 2)
    if found[-1] != SMALLEST or len(found) < 2:
        raise ValueError(
            f"pictures of {size}x{size} cannot be halved down to {SMALLEST}x{SMALLEST}; expected 28, 32, 64"
        )
    return found


def _kernel(side: int) -> int:
    """Of the convolution with stride 2 and padding 1 between `side` and its half: 3 where the side is odd."""
    return 4 - side % 2


class Generator(nn.Module):
    """Floats (B, `channels`, `size`, `size`) from -1 to 1 for latents (B, `latents`).

    `width` is the number of channels before the picture; it doubles with each halving of the side. Raises ValueError
    for a size that cannot be halved down to 4.
    """

    def __init__(self, latents: int, width: int, size: int, channels: int) -> None:
        super().__init__()
        *larger, _ = sides(size)
        inputs = width * 2 ** (len(larger) - 1)
        layers: list[nn.Module] = [nn.ConvTranspose2d(latents, inputs, SMALLEST, bias=False)]  # 1x1 -> 4x4
        layers += [nn.BatchNorm2d(inputs), nn.ReLU()]
        for side in reversed(larger[1:]):  # 4x4 -> 8x8 -> 16x16 ...
            layers.append(nn.ConvTranspose2d(inputs, inputs // 2, _kernel(side), stride=2, padding=1, bias=False))
            layers += [nn.BatchNorm2d(inputs // 2), nn.ReLU()]
            inputs //= 2
        layers += [nn.ConvTranspose2d(inputs, channels, _kernel(size), stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(_first_weights)

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents[:, :, None, None])


class Discriminator(nn.Module):
    """Logits (B,) for floats (B, `channels`, `size`, `size`): above zero where a picture looks real.

    `width` is the number of channels after the first convolution. `norm` is `batch`, as in the paper, or `none`, which
    what makes the network smooth needs: BatchNorm undoes what `spectral` (Miyato et al. 2018,
    https://arxiv.org/abs/1802.05957) does to the weights, and ties the pictures of a batch together. Raises ValueError
    for a size that cannot be halved down to 4.
    """

    def __init__(self, width: int, size: int, channels: int, leak: float, norm: str, spectral: bool) -> None:
        super().__init__()
        *larger, _ = sides(size)
        self.blocks = nn.ModuleList()
        inputs, outputs = channels, width
        for side in larger:  # 64x64 -> 32x32 -> ... -> 4x4
            normed = norm == "batch" and side != size
            layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, _kernel(side), stride=2, padding=1, bias=not normed)]
            layers += [nn.BatchNorm2d(outputs)] if normed else []
            self.blocks.append(nn.Sequential(*layers, nn.LeakyReLU(leak)))
            inputs, outputs = outputs, outputs * 2
        self.head = nn.Conv2d(inputs, 1, SMALLEST)  # 4x4 -> 1x1
        self.apply(_first_weights)
        if spectral:
            for layer in [*(block[0] for block in self.blocks), self.head]:
                spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x).flatten()

    def features(self, x: Tensor) -> Tensor:
        """What each block sees, by its largest value in each cell of a 4x4 grid, one after the other (B, D).

        As in section 5.1 of the paper, for a linear classifier on top.
        """
        found = []
        for block in self.blocks:
            x = block(x)
            cell = -(-x.shape[-1] // SMALLEST)
            found.append(F.max_pool2d(x, cell, ceil_mode=True).flatten(1))
        return torch.cat(found, dim=1)


class PixelGenerator(nn.Module):
    """The exported form of the generator: latents float32 (B, L) in, images uint8 (B, H, W, C) out."""

    def __init__(self, body: Generator) -> None:
        super().__init__()
        self.body = body

    def forward(self, latents: Tensor) -> Tensor:
        return to_pixels(self.body(latents))


class DiscriminatorFeatures(nn.Module):
    """The exported form of the discriminator: images uint8 (B, H, W, C) in, features (B, D) out."""

    def __init__(self, body: Discriminator) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        return self.body.features(to_signed(images))


def build(generator: dict, discriminator: dict) -> tuple[Generator, Discriminator]:
    """The networks that architecture.json describes, channels-last; their weights are those of the global seed."""
    networks = Generator(**generator), Discriminator(**discriminator)
    return tuple(network.to(memory_format=torch.channels_last) for network in networks)


def to_signed(images: Tensor) -> Tensor:
    """Images (B, H, W, C), 0 to 255, as floats (B, C, H, W) from -1 to 1, channels-last in memory."""
    middle = torch.full((images.shape[-1],), MIDDLE, device=images.device)
    return to_floats(images, middle, middle)


def to_pixels(x: Tensor) -> Tensor:
    """Floats (B, C, H, W) from -1 to 1 as uint8 (B, H, W, C)."""
    levels = (x.float() + 1) * 127.5
    return levels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


@torch.no_grad()
def samples(generator: Generator, latents: np.ndarray, batch_size: int = 250) -> np.ndarray:
    """Pictures uint8 (N, H, W, C) of latents float32 (N, L), as the file that ships makes them.

    In evaluation mode, so that no picture depends on its neighbours and no statistics change; the mode is put back.
    """
    training, device = generator.training, next(generator.parameters()).device
    ships = PixelGenerator(generator).eval()
    starts = range(0, len(latents), batch_size)
    parts = [ships(torch.from_numpy(latents[start : start + batch_size]).to(device)).cpu() for start in starts]
    generator.train(training)
    return torch.cat(parts).numpy()


def discriminator_loss(loss: str, on_real: Tensor, on_fake: Tensor, label_smoothing: float) -> Tensor:
    """What the discriminator lowers, for its logits (B,) on real and on generated pictures.

    `bce` is cross-entropy with real as 1 - `label_smoothing` and generated as 0 (one-sided, after Salimans et al. 2016,
    https://arxiv.org/abs/1606.03498); `hinge` asks for logits beyond 1 and -1 (Lim and Ye 2017,
    https://arxiv.org/abs/1705.02894).
    """
    if loss == "hinge":
        return F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
    wanted = torch.full_like(on_real, 1 - label_smoothing)
    cross_entropy = F.binary_cross_entropy_with_logits
    return cross_entropy(on_real, wanted) + cross_entropy(on_fake, torch.zeros_like(on_fake))


def generator_loss(loss: str, on_fake: Tensor) -> Tensor:
    """What the generator lowers, for the discriminator's logits (B,) on its pictures: that they are taken for real.

    With `bce` the form that keeps its gradient where the discriminator is sure (Goodfellow et al. 2014,
    https://arxiv.org/abs/1406.2661).
    """
    return -on_fake.mean() if loss == "hinge" else F.softplus(-on_fake).mean()


def gradient_penalty(discriminator: nn.Module, x: Tensor) -> Tensor:
    """R1: the mean squared norm of the logits' gradient at real pictures `x`.

    Mescheder et al. 2018, https://arxiv.org/abs/1801.04406.
    """
    x = x.detach().requires_grad_(True)
    [gradient] = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def averaging(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """An exponential moving average that forgets its first steps: a decay of (1 + n) / (10 + n) while that is less."""

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        weight = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, weight) if mean.is_floating_point() else mean.copy_(value)

    return update


def without_parametrizations(discriminator: Discriminator) -> Discriminator:
    """`discriminator` with plain weights: those that spectral norm, if it has any, computes in evaluation mode."""
    discriminator.eval()
    for layer in list(discriminator.modules()):
        if is_parametrized(layer):
            remove_parametrizations(layer, "weight")
    return discriminator


def _first_weights(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0, STD)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1, STD)
