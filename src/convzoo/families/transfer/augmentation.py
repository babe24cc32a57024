"""Random changes to the images of fine-tuning: a crop, turned and mirrored, other light, and mixing in pairs."""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor

from convzoo.families.transfer.settings import FinetuneSettings
from convzoo.training.augmentation import flips

ASPECT = 4 / 3  # of a crop, at most, either way
GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)


def augment(images: Tensor, phase: FinetuneSettings, side: int, generator: torch.Generator) -> Tensor:
    """Images uint8 (B, H, W, C) as the network sees them: floats (B, side, side, C), 0 to 255."""
    x = images.permute(0, 3, 1, 2).float()
    x = random_resized_crop(x, phase.crop, phase.rotation, phase.flip, side, generator)
    x = colour_jitter(x, phase.brightness, phase.contrast, phase.saturation, generator)
    return x.permute(0, 2, 3, 1)


def random_resized_crop(
    x: Tensor, smallest: float, degrees: float, flip: bool, side: int, generator: torch.Generator
) -> Tensor:
    """Crops (B, C, side, side) of images (B, C, H, W), of at least the share `smallest` of their area, turned by up to
    `degrees`, and with `flip` half of them mirrored, all in one resampling.
    """
    count = len(x)
    area = 1 - torch.rand(count, generator=generator) * (1 - smallest)
    aspect = _uniform(count, math.log(ASPECT) * (smallest < 1), generator).exp()
    width, height = ((area * factor).sqrt().clamp(max=1) for factor in (aspect, 1 / aspect))
    angle = _uniform(count, math.radians(degrees), generator)
    mode = "random" if flip else "none"
    mirror = 1 - 2 * flips(mode, torch.arange(count), 0, count, 0, generator).float()
    places = torch.zeros(count, 2, 3)
    places[:, 0, 0], places[:, 0, 1] = width * angle.cos() * mirror, -height * angle.sin()
    places[:, 1, 0], places[:, 1, 1] = width * angle.sin() * mirror, height * angle.cos()
    places[:, 0, 2] = _uniform(count, 1, generator) * (1 - width)
    places[:, 1, 2] = _uniform(count, 1, generator) * (1 - height)
    grid = F.affine_grid(places.to(x.device), [count, x.shape[1], side, side], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def colour_jitter(
    x: Tensor, brightness: float, contrast: float, saturation: float, generator: torch.Generator
) -> Tensor:
    """Images (B, 3, H, W), 0 to 255, each multiplied in brightness, contrast and saturation by a random factor that
    differs from 1 by up to the given amount.
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
    """Floats (B, C, H, W), each blended with its partner, of which it gets 1 - `share` (Zhang et al. 2018,
    https://arxiv.org/abs/1710.09412).
    """
    return share * x + (1 - share) * x[partners]


def cutmix(x: Tensor, partners: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Floats (B, C, H, W), each with a rectangle of its partner pasted in, of about 1 - `share` of its area (Yun et al.
    2019, https://arxiv.org/abs/1905.04899), and the exact share that is its own.
    """
    height, width = x.shape[2:]
    rows, columns = (int(side * math.sqrt(1 - share)) for side in (height, width))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    box = (..., slice(top, top + rows), slice(left, left + columns))
    pasted = x.clone()
    pasted[box] = x[partners][box]
    return pasted, 1 - rows * columns / (height * width)


def mix(x: Tensor, phase: FinetuneSettings, rng: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Mixup or cutmix of floats (B, C, H, W), drawn at random if both are set; also the partners (B,), and the share of
    each image that is its own.
    """
    ways = [(amount, name) for amount, name in ((phase.mixup, "mixup"), (phase.cutmix, "cutmix")) if amount]
    if not ways:
        return x, torch.arange(len(x)), 1.0
    amount, name = ways[rng.integers(len(ways))]
    partners, share = torch.from_numpy(rng.permutation(len(x))), float(rng.beta(amount, amount))
    if name == "mixup":
        return mixup(x, partners.to(x.device), share), partners, share
    x, share = cutmix(x, partners.to(x.device), share, rng)
    return x, partners, share


def _uniform(count: int, amount: float, generator: torch.Generator) -> Tensor:
    """Random numbers (count,) from -`amount` to `amount`."""
    return (torch.rand(count, generator=generator) * 2 - 1) * amount
