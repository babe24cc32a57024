"""Augmentation for fine-tuning: random crops, rotation, flips, colour jitter, mixup and cutmix."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor

from convzoo.families.transfer.settings import FinetuneSettings
from convzoo.training.augmentation import Draws, flips

ASPECT = 4 / 3  # of a crop, at most, in both directions
GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)


def draw_augmentation(count: int, phase: FinetuneSettings, generator: torch.Generator) -> Draws:
    """Draw affine matrices (B, 2, 3), and factors (3, B, 1, 1, 1) of brightness, contrast and saturation."""
    transforms = draw_crops(count, phase.crop, phase.rotation, phase.flip, generator)
    amounts = (phase.brightness, phase.contrast, phase.saturation)
    factors = torch.stack([1 + _uniform(count, amount, generator) for amount in amounts])
    return {"transforms": transforms, "factors": factors.view(3, count, 1, 1, 1)}


def augment(images: Tensor, draws: Draws, side: int) -> Tensor:
    """Augment images uint8 (B, H, W, C) into floats (B, side, side, C), 0 to 255."""
    x = images.permute(0, 3, 1, 2).float()
    x = colour_jitter(resized_crop(x, draws["transforms"], side), draws["factors"])
    return x.permute(0, 2, 3, 1)


def draw_crops(count: int, smallest: float, degrees: float, flip: bool, generator: torch.Generator) -> Tensor:
    """Draw random crops as affine matrices (B, 2, 3).

    A crop covers at least the share `smallest` of the area, is rotated by up to `degrees` and, with `flip`, mirrored
    half of the time.
    """
    area = 1 - torch.rand(count, generator=generator) * (1 - smallest)
    aspect = _uniform(count, math.log(ASPECT) * (smallest < 1), generator).exp()
    # NumPy's square root is rounded correctly on every processor, that of torch is not (docs/reproducibility.md).
    sides = (torch.from_numpy(np.sqrt((area * factor).numpy())) for factor in (aspect, 1 / aspect))
    width, height = (side.clamp(max=1) for side in sides)
    angle = _uniform(count, math.radians(degrees), generator)
    mode = "random" if flip else "none"
    mirror = 1 - 2 * flips(mode, torch.arange(count), 0, count, 0, generator).float()
    transforms = torch.zeros(count, 2, 3)
    transforms[:, 0, 0], transforms[:, 0, 1] = width * angle.cos() * mirror, -height * angle.sin()
    transforms[:, 1, 0], transforms[:, 1, 1] = width * angle.sin() * mirror, height * angle.cos()
    transforms[:, 0, 2] = _uniform(count, 1, generator) * (1 - width)
    transforms[:, 1, 2] = _uniform(count, 1, generator) * (1 - height)
    return transforms


def resized_crop(x: Tensor, transforms: Tensor, side: int) -> Tensor:
    """Crop images (B, C, H, W) to (B, C, side, side) by affine `transforms` (B, 2, 3), all in one resampling."""
    grid = F.affine_grid(transforms, [*x.shape[:2], side, side], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def colour_jitter(x: Tensor, factors: Tensor) -> Tensor:
    """Multiply brightness, contrast and saturation of images (B, 3, H, W), 0 to 255, by `factors` (3, B, 1, 1, 1)."""
    brightness, contrast, saturation = factors
    x = x * brightness
    grey = sum(weight * x[:, channel : channel + 1] for channel, weight in enumerate(GREY))
    middle = grey.mean((2, 3), keepdim=True)
    x = middle + contrast * (grey + saturation * (x - grey) - middle)
    return x.clamp(0, 255)


class Mixing(NamedTuple):
    """How each image of a batch is mixed with its partner."""

    partners: Tensor  # (B,), indices
    share: float  # of the image itself
    box: tuple[slice, slice] | None = None  # rows and columns to take from the partner; None: both are blended


def draw_mixing(count: int, side: int, phase: FinetuneSettings, rng: np.random.Generator) -> Mixing:
    """Draw partners and shares for mixup or cutmix of images `side` pixels wide, one of the two if both are set.

    Mixup blends two images (Zhang et al. 2018, https://arxiv.org/abs/1710.09412). Cutmix pastes a rectangle of one into
    the other (Yun et al. 2019, https://arxiv.org/abs/1905.04899); the share is then that of its pixels, exactly.
    """
    methods = [(amount, name) for amount, name in ((phase.mixup, "mixup"), (phase.cutmix, "cutmix")) if amount]
    if not methods:
        return Mixing(torch.arange(count), 1.0)
    amount, name = methods[rng.integers(len(methods))]
    partners, share = torch.from_numpy(rng.permutation(count)), float(rng.beta(amount, amount))
    if name == "mixup":
        return Mixing(partners, share)
    length = int(side * math.sqrt(1 - share))
    top, left = rng.integers(side - length + 1), rng.integers(side - length + 1)
    return Mixing(partners, 1 - length**2 / side**2, (slice(top, top + length), slice(left, left + length)))


def mix(x: Tensor, mixing: Mixing) -> Tensor:
    """Mix floats (B, C, H, W) with their partners."""
    if mixing.share == 1:
        return x
    if mixing.box is None:
        return mixing.share * x + (1 - mixing.share) * x[mixing.partners]
    mixed = x.clone()
    box = (..., *mixing.box)
    mixed[box] = x[mixing.partners][box]
    return mixed


def mixed_loss(logits: Tensor, labels: Tensor, others: Tensor, share: float, smoothing: float) -> Tensor:
    """Return the cross-entropy to `labels`, weighted by `share`, plus that to the partners' labels, by the rest."""
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    if share == 1:
        return loss
    return share * loss + (1 - share) * F.cross_entropy(logits, others, label_smoothing=smoothing)


def _uniform(count: int, amount: float, generator: torch.Generator) -> Tensor:
    """Draw random numbers (count,) from -`amount` to `amount`."""
    return (torch.rand(count, generator=generator) * 2 - 1) * amount
