"""The generator and discriminator of a DCGAN, after Radford, Metz and Chintala 2016 (https://arxiv.org/abs/1511.06434).

The generator turns noise into images by transposed convolutions; the discriminator distinguishes them from real ones by
strided convolutions. Both have no pooling, no hidden linear layer, BatchNorm except at the generator's output and the
discriminator's input, and initial weights from N(0, 0.02). The generator uses ReLU and tanh, the discriminator
LeakyReLU.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from convzoo.data.pixels import to_floats
from convzoo.families.dcgan.latents import chosen_classes

SMALLEST = 4  # pixels: the side of the generator's first and the discriminator's last feature maps
STD = 0.02  # of the initial weights
MIDDLE = 0.5  # mean and standard deviation that scale pixels to -1 to 1, the range of tanh


def sides(size: int) -> list[int]:
    """Halve `size`, rounding up, down to 4 pixels, and return all sides: 28, 14, 7, 4 or 64, 32, 16, 8, 4.

    Raises ValueError if the halves of `size` do not reach 4.
    """
    halved = [size]
    while halved[-1] > SMALLEST:
        halved.append((halved[-1] + 1) // 2)
    if halved[-1] != SMALLEST or len(halved) < 2:
        raise ValueError(
            f"pictures of {size}x{size} cannot be halved down to {SMALLEST}x{SMALLEST}; expected 28, 32, 64"
        )
    return halved


def _kernel(side: int) -> int:
    """Return the kernel size of a convolution with stride 2 and padding 1 that halves `side`, rounding up."""
    return 4 - side % 2


class Generator(nn.Module):
    """Generate floats (B, `channels`, `size`, `size`), -1 to 1, from latents (B, `latents`).

    `width` is the number of channels before the last layer; it doubles with each halving of the side. Raises ValueError
    if `size` cannot be halved down to 4.

    With `classes`, the largest of the first that many latents chooses the class of the image (`chosen_classes`), and
    the other latents everything else.
    """

    def __init__(self, latents: int, width: int, size: int, channels: int, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
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
        self.apply(_init_weights)

    def forward(self, latents: Tensor) -> Tensor:
        if self.classes:
            ones = torch.arange(self.classes, device=latents.device) == chosen_classes(latents, self.classes)[:, None]
            # As long as the latents that it replaces are on average.
            latents = torch.cat([ones * self.classes**0.5, latents[:, self.classes :]], dim=1)
        return self.layers(latents[:, :, None, None])


class Discriminator(nn.Module):
    """Compute logits (B,) of floats (B, `channels`, `size`, `size`): positive for images that look real.

    `width` is the number of channels after the first convolution. `norm` is `batch`, as in the paper, or `none`, which
    smoothness constraints need: BatchNorm undoes the effect of spectral norm (`spectral`, Miyato et al. 2018,
    https://arxiv.org/abs/1802.05957) on the weights and couples the images of a batch. Raises ValueError if `size`
    cannot be halved down to 4.

    With `classes`, it also takes labels (B,), and the logit says whether an image looks like a real one of its class:
    an output that all classes share plus one of the class, as in the projection discriminator (Miyato and Koyama 2018,
    https://arxiv.org/abs/1802.05637).
    """

    def __init__(
        self, width: int, size: int, channels: int, leak: float, norm: str, spectral: bool, classes: int = 0
    ) -> None:
        super().__init__()
        self.classes = classes
        *larger, _ = sides(size)
        self.blocks = nn.ModuleList()
        inputs, outputs = channels, width
        for side in larger:  # 64x64 -> 32x32 -> ... -> 4x4
            normed = norm == "batch" and side != size
            layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, _kernel(side), stride=2, padding=1, bias=not normed)]
            layers += [nn.BatchNorm2d(outputs)] if normed else []
            self.blocks.append(nn.Sequential(*layers, nn.LeakyReLU(leak)))
            inputs, outputs = outputs, outputs * 2
        self.head = nn.Conv2d(inputs, 1 + classes, SMALLEST)  # 4x4 -> 1x1
        self.apply(_init_weights)
        if spectral:
            for layer in [*(block[0] for block in self.blocks), self.head]:
                spectral_norm(layer)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x)
        logits = self.head(x).flatten(1)
        if self.classes:
            return logits[:, 0] + logits.gather(1, 1 + labels[:, None])[:, 0]
        return logits[:, 0]

    def features(self, x: Tensor) -> Tensor:
        """Concatenate the outputs of all blocks, max-pooled to a 4x4 grid (B, D).

        As in section 5.1 of the paper, as inputs of a linear classifier.
        """
        pooled = []
        for block in self.blocks:
            x = block(x)
            cell = -(-x.shape[-1] // SMALLEST)
            pooled.append(F.max_pool2d(x, cell, ceil_mode=True).flatten(1))
        return torch.cat(pooled, dim=1)


class PixelGenerator(nn.Module):
    """The exported form of the generator: latents float32 (B, L) in, images uint8 (B, H, W, C) out."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.body = generator  # the attribute's name becomes part of the tensor names in the ONNX file

    def forward(self, latents: Tensor) -> Tensor:
        return to_pixels(self.body(latents))


class DiscriminatorFeatures(nn.Module):
    """The exported form of the discriminator: images uint8 (B, H, W, C) in, features (B, D) out."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.body = discriminator  # the attribute's name becomes part of the tensor names in the ONNX file

    def forward(self, images: Tensor) -> Tensor:
        return self.body.features(to_signed(images))


def build(generator: dict, discriminator: dict) -> tuple[Generator, Discriminator]:
    """Build the networks that architecture.json describes, channels-last, with initial weights from the global seed."""
    networks = Generator(**generator), Discriminator(**discriminator)
    return tuple(network.to(memory_format=torch.channels_last) for network in networks)


def to_signed(images: Tensor) -> Tensor:
    """Convert images (B, H, W, C), 0 to 255, to floats (B, C, H, W), -1 to 1, channels-last in memory."""
    middle = torch.full((images.shape[-1],), MIDDLE, device=images.device)
    return to_floats(images, middle, middle)


def to_pixels(x: Tensor) -> Tensor:
    """Convert floats (B, C, H, W), -1 to 1, to uint8 (B, H, W, C)."""
    levels = (x.float() + 1) * 127.5
    return levels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


@torch.no_grad()
def samples(generator: Generator, latents: np.ndarray, batch_size: int = 250) -> np.ndarray:
    """Generate images uint8 (N, H, W, C) from latents float32 (N, L), as the exported file does.

    Runs in evaluation mode, so that images do not depend on each other and BatchNorm's statistics do not change, and
    restores the mode.
    """
    training, device = generator.training, next(generator.parameters()).device
    pixel_generator = PixelGenerator(generator).eval()
    batches = torch.from_numpy(latents).to(device).split(batch_size)
    images = torch.cat([pixel_generator(batch) for batch in batches]).cpu().numpy()
    generator.train(training)
    return images


def discriminator_loss(loss: str, on_real: Tensor, on_fake: Tensor, label_smoothing: float) -> Tensor:
    """Return the discriminator's loss, given its logits (B,) of real and of generated images.

    `bce` is cross-entropy with the target 1 - `label_smoothing` for real and 0 for generated images (one-sided, after
    Salimans et al. 2016, https://arxiv.org/abs/1606.03498); `hinge` penalises logits of real images below 1 and of
    generated ones above -1 (Lim and Ye 2017, https://arxiv.org/abs/1705.02894); `relativistic` asks in pairs whether
    the real image looks more real than the generated one (Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734;
    with both gradient penalties Huang et al. 2024, https://arxiv.org/abs/2501.05441).
    """
    if loss == "relativistic":
        return F.softplus(on_fake - on_real).mean()
    if loss == "hinge":
        return F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
    targets = torch.full_like(on_real, 1 - label_smoothing)
    cross_entropy = F.binary_cross_entropy_with_logits
    return cross_entropy(on_real, targets) + cross_entropy(on_fake, torch.zeros_like(on_fake))


def generator_loss(loss: str, on_fake: Tensor, on_real: Tensor) -> Tensor:
    """Return the generator's loss, given the discriminator's logits (B,) of generated and of real images.

    Only `relativistic` compares the two.

    `bce` is the non-saturating form, whose gradient does not vanish if the discriminator is certain (Goodfellow et al.
    2014, https://arxiv.org/abs/1406.2661).
    """
    if loss == "relativistic":
        return F.softplus(on_real - on_fake).mean()
    return -on_fake.mean() if loss == "hinge" else F.softplus(-on_fake).mean()


def gradient_penalty(discriminator: nn.Module, x: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return the mean squared norm of the gradient of the logits at images `x`: R1 if they are real, R2 if generated.

    Source: Mescheder et al. 2018, https://arxiv.org/abs/1801.04406.
    """
    x = x.detach().requires_grad_(True)
    [gradient] = torch.autograd.grad(discriminator(x, labels).sum(), x, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def without_parametrizations(discriminator: Discriminator) -> Discriminator:
    """Replace the parametrizations of spectral norm, if any, by the weights that they compute in evaluation mode."""
    discriminator.eval()
    for layer in list(discriminator.modules()):
        if is_parametrized(layer):
            remove_parametrizations(layer, "weight")
    return discriminator


def _init_weights(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0, STD)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1, STD)
