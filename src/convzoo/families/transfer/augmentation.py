"""Augmentation for fine-tuning: random crops, rotation, flips, colour jitter, mixup and cutmix."""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor

from convzoo.families.transfer.settings import FinetuneSettings
from convzoo.training.augmentation import flips

ASPECT = 4 / 3  # of a crop, at most, in both directions
GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)


def augment(images: Tensor, phase: FinetuneSettings, side: int, generator: torch.Generator) -> Tensor:
    """Augment images uint8 (B, H, W, C) into floats (B, side, side, C), 0 to 255."""
    x = images.permute(0, 3, 1, 2).float()
    x = random_resized_crop(x, phase.crop, phase.rotation, phase.flip, side, generator)
    x = colour_jitter(x, phase.brightness, phase.contrast, phase.saturation, generator)
    return x.permute(0, 2, 3, 1)


def random_resized_crop(
    x: Tensor, smallest: float, degrees: float, flip: bool, side: int, generator: torch.Generator
) -> Tensor:
    """Crop images (B, C, H, W) at random to (B, C, side, side).

    A crop covers at least the share `smallest` of the area, is rotated by up to `degrees` and, with `flip`, mirrored
    half of the time, all in one resampling.
    """
    count = len(x)
    area = 1 - torch.rand(count, generator=generator) * (1 - smallest)
    aspect = _uniform(count, math.log(ASPECT) * (smallest < 1), generator).exp()
    width, height = ((area * factor).sqrt().clamp(max=1) for factor in (aspect, 1 / aspect))
    angle = _uniform(count, math.radians(degrees), generator)
    mode = "random" if flip else "none"
    mirror = 1 - 2 * flips(mode, torch.arange(count), 0, count, 0, generator).float()
    transforms = torch.zeros(count, 2, 3)
    transforms[:, 0, 0], transforms[:, 0, 1] = width * angle.cos() * mirror, -height * angle.sin()
    transforms[:, 1, 0], transforms[:, 1, 1] = width * angle.sin() * mirror, height * angle.cos()
    transforms[:, 0, 2] = _uniform(count, 1, generator) * (1 - width)
    transforms[:, 1, 2] = _uniform(count, 1, generator) * (1 - height)
    grid = F.affine_grid(transforms.to(x.device), [count, x.shape[1], side, side], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def colour_jitter(
    x: Tensor, brightness: float, contrast: float, saturation: float, generator: torch.Generator
) -> Tensor:
    """Multiply brightness, contrast and saturation of each image (B, 3, H, W), 0 to 255, by random factors.

    A factor differs from 1 by up to the given amount.
    """
    brightness, contrast, saturation = (
        (1 + _uniform(len(x), amount, generator)).view(-1, 1, 1, 1).to(x.device)
        for amount in (brightness, contrast, saturation)
    )
    x = x * brightness
    grey = (x * torch.tensor(GREY, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    middle = grey.mean((2, 3), keepdim=True)
    x = middle + contrast * (grey + saturation * (x - grey) - middle)
    return x.clamp(0, 255)


def mixup(x: Tensor, partners: Tensor, share: float) -> Tensor:
    """Blend each image, floats (B, C, H, W), with 1 - `share` of its partner (Zhang et al. 2018,
    https://arxiv.org/abs/1710.09412).
    """
    return share * x + (1 - share) * x[partners]


def cutmix(x: Tensor, partners: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Paste a rectangle of its partner, about 1 - `share` of the area, into each image, floats (B, C, H, W).

    Returns the images and the exact share of the original (Yun et al. 2019, https://arxiv.org/abs/1905.04899).
    """
    height, width = x.shape[2:]
    rows, columns = (int(side * math.sqrt(1 - share)) for side in (height, width))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    box = (..., slice(top, top + rows), slice(left, left + columns))
    pasted = x.clone()
    pasted[box] = x[partners][box]
    return pasted, 1 - rows * columns / (height * width)


def mix(x: Tensor, phase: FinetuneSettings, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Apply mixup or cutmix to floats (B, C, H, W), chosen at random if both are set.

    Returns the images, the partners (B,) and the share of each original image.
    """
    methods = [(amount, name) for amount, name in ((phase.mixup, "mixup"), (phase.cutmix, "cutmix")) if amount]
    if not methods:
        return x, torch.arange(len(x)), 1.0
    amount, name = methods[rng.integers(len(methods))]
    partners, share = torch.from_numpy(rng.permutation(len(x))), float(rng.beta(amount, amount))
    if name == "mixup":
        return mixup(x, partners.to(x.device), share), partners, share
    x, share = cutmix(x, partners.to(x.device), share, rng)
    return x, partners, share


def _uniform(count: int, amount: float, generator: torch.Generator) -> Tensor:
    """Draw random numbers (count,) from -`amount` to `amount`."""
    return (torch.rand(count, generator=generator) * 2 - 1) * amount
