"""Differentiable augmentation of the discriminator's inputs, real and generated alike."""

import torch
from torch import Tensor

from convzoo.families.dcgan.settings import AugmentSettings
from convzoo.training import augmentation


def diff_augment(x: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Augment images (B, C, H, W), -1 to 1, for the discriminator.

    Gradients flow through every change (Zhao et al. 2020, https://arxiv.org/abs/2006.10738).
    """
    amounts = (torch.rand(3, len(x), 1, 1, 1, generator=generator) * 2 - 1).to(x.device)
    x = colour_jitter(x, amounts, settings.brightness, settings.saturation, settings.contrast).permute(0, 2, 3, 1)
    if settings.flip or settings.shift:
        order = torch.arange(len(x))
        flips = augmentation.flips("random" if settings.flip else "none", order, 0, len(x), 0, generator)
        x = augmentation.shift_and_flip(x, flips, settings.shift, generator)
    if settings.cutout:
        x = augmentation.cutout(x, settings.cutout, generator)
    return x.permute(0, 3, 1, 2)


def colour_jitter(x: Tensor, amounts: Tensor, brightness: float, saturation: float, contrast: float) -> Tensor:
    """Change brightness, saturation and contrast of each image (B, C, H, W), -1 to 1.

    `amounts` (3, B, 1, 1, 1), from -1 to 1, are multiplied by the three bounds.
    """
    if brightness:
        x = x + 2 * brightness * amounts[0]
    if saturation:
        grey = x.mean(dim=1, keepdim=True)
        x = grey + (x - grey) * (1 + saturation * amounts[1])
    if contrast:
        middle = x.mean(dim=(1, 2, 3), keepdim=True)
        x = middle + (x - middle) * (1 + contrast * amounts[2])
    return x
