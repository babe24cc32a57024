"""Random changes to whole batches in the loop: flip, shift, rotation, scale and cutout."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor


def flips(mode: str, index: Tensor, epoch: int, count: int, seed: int, generator: torch.Generator) -> Tensor:
    """Which of the images at `index` (B,) of `count` are mirrored in `epoch`, as bools (B,).

    `alternating` tosses a coin for each image once and turns it over each epoch, so that two epochs in a row show both
    sides of all images (Jordan 2024, https://arxiv.org/abs/2404.00498).
    """
    if mode == "none":
        return torch.zeros(len(index), dtype=torch.bool)
    if mode == "random":
        return torch.rand(len(index), generator=generator) < 0.5
    coins = torch.randint(2, (count,), generator=torch.Generator().manual_seed(seed))
    return (coins[index] + epoch) % 2 == 1


def shift_and_flip(images: Tensor, flipped: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Images (B, H, W, C) moved by up to `pixels` each way, what moves in being the mirror image of the border."""
    count, height, width = images.shape[:3]
    moves = torch.randint(-pixels, pixels + 1, (2, count, 1), generator=generator)
    rows = _reflected(torch.arange(height) + moves[0], height)
    columns = _reflected(torch.arange(width) + moves[1], width)
    columns = torch.where(flipped[:, None], width - 1 - columns, columns)
    row = torch.arange(count)[:, None, None]
    device = images.device
    return images[row.to(device), rows[:, :, None].to(device), columns[:, None, :].to(device)]


def rotate_and_scale(images: Tensor, degrees: float, scale: float, generator: torch.Generator) -> Tensor:
    """Images (B, H, W, C) turned by up to `degrees` and drawn up to `scale` larger or smaller, as floats."""
    count = len(images)
    angles = (torch.rand(count, generator=generator) * 2 - 1) * math.radians(degrees)
    zooms = 1 / (1 + (torch.rand(count, generator=generator) * 2 - 1) * scale)
    turns = torch.zeros(count, 2, 3)
    turns[:, 0, 0] = turns[:, 1, 1] = angles.cos() * zooms
    turns[:, 0, 1], turns[:, 1, 0] = -angles.sin() * zooms, angles.sin() * zooms
    x = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(turns.to(images.device), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)


def cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Images (B, H, W, C) with a square of `side` pixels each painted in the batch's mean colour.

    DeVries and Taylor 2017, https://arxiv.org/abs/1708.04552.
    """
    count, height, width = images.shape[:3]
    top = torch.randint(height - side + 1, (count, 1), generator=generator)
    left = torch.randint(width - side + 1, (count, 1), generator=generator)
    rows, columns = torch.arange(height), torch.arange(width)
    inside = ((rows >= top) & (rows < top + side))[:, :, None] & ((columns >= left) & (columns < left + side))[:, None]
    mean = images.float().mean(dim=(0, 1, 2)).to(images.dtype)
    return torch.where(inside[..., None].to(images.device), mean, images)


def _reflected(positions: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - positions.abs()).abs()
