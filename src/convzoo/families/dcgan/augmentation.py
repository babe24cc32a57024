"""Differentiable augmentation of the discriminator's inputs, real and generated alike."""

import torch
from torch import Tensor

from convzoo.families.dcgan.settings import AugmentSettings
from convzoo.training import augmentation
from convzoo.training.augmentation import Average, Draws, alone


def draw_augmentation(
    count: int, height: int, width: int, settings: AugmentSettings, generator: torch.Generator
) -> Draws:
    """Draw the random numbers to augment `count` images with."""
    draws = {"amounts": torch.rand(3, count, 1, 1, 1, generator=generator) * 2 - 1}
    if settings.flip or settings.shift:
        mode = "random" if settings.flip else "none"
        draws["flips"] = augmentation.flips(mode, torch.arange(count), 0, count, 0, generator)
        draws["moves"] = augmentation.draw_moves(count, settings.shift, generator)
    if settings.cutout:
        draws["corners"] = augmentation.draw_corners(count, height, width, settings.cutout, generator)
    return draws


def diff_augment(
    x: Tensor, settings: AugmentSettings, draws: Draws, prefix: str = "", average: Average = alone
) -> Tensor:
    """Augment images (B, C, H, W), -1 to 1, for the discriminator, with those `draws` whose names start with `prefix`;
    `average` as in augmentation.cutout.

    Gradients flow through every change (Zhao et al. 2020, https://arxiv.org/abs/2006.10738).
    """
    amounts = draws[f"{prefix}amounts"]
    x = colour_jitter(x, amounts, settings.brightness, settings.saturation, settings.contrast).permute(0, 2, 3, 1)
    if settings.flip or settings.shift:
        x = augmentation.shift_and_flip(x, draws[f"{prefix}flips"], draws[f"{prefix}moves"])
    if settings.cutout:
        x = augmentation.cutout(x, draws[f"{prefix}corners"], settings.cutout, average)
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
