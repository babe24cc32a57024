"""Random changes to whole batches in the loop: flip, shift, rotation, scale and cutout.

The random numbers of an epoch are drawn on the CPU before its first step (`flips` and the functions `draw_...`) and
moved to the device together (`draws_on`), so that a step neither copies nor waits, and that every device gets the same
numbers.
"""

import functools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor

from convzoo.training.transfers import moved

Draws = dict[str, Tensor]  # the random numbers of a step, by name
PER_IMAGE_SECOND = {"amounts", "corners", "factors", "moves"}  # those whose second dimension is that of the images
ALL = slice(None)  # of the rows of a batch
Average = Callable[[Tensor], Tensor]  # makes the mean over this process's images one over those of all processes


def alone(mean: Tensor) -> Tensor:
    """The Average of a single process."""
    return mean


def draws_of(draws: Draws, rows: slice) -> Draws:
    """The random numbers of some images of a batch."""
    return {name: value[:, rows] if name in PER_IMAGE_SECOND else value[rows] for name, value in draws.items()}


def draws_on(device: torch.device, drawn: Sequence[Draws]) -> Sequence[Draws]:
    """The random numbers of an epoch's steps, moved to `device` in one copy. A step may lack some of the names."""
    if device.type == "cpu":
        return drawn
    steps = {
        name: [step for step, draws in enumerate(drawn) if name in draws]
        for name in dict.fromkeys(name for draws in drawn for name in draws)
    }
    stacked = [torch.stack([drawn[step][name] for step in steps[name]]) for name in steps]
    on_device: list[Draws] = [{} for _ in drawn]
    for name, values in zip(steps, moved(stacked, device), strict=True):
        for step, value in zip(steps[name], values.unbind(), strict=True):
            on_device[step][name] = value
    return on_device


def flips(mode: str, index: Tensor, epoch: int, count: int, seed: int, generator: torch.Generator) -> Tensor:
    """Which of the images at `index` (B,) of `count` are mirrored in `epoch`, as bools (B,).

    `alternating` tosses a coin for each image once and turns it over each epoch, so that two epochs in a row show both
    sides of all images (Jordan 2024, https://arxiv.org/abs/2404.00498).
    """
    if mode == "none":
        return torch.zeros(len(index), dtype=torch.bool)
    if mode == "random":
        return torch.rand(len(index), generator=generator) < 0.5
    return (_coins(count, seed)[index] + epoch) % 2 == 1


@functools.lru_cache(maxsize=1)
def _coins(count: int, seed: int) -> Tensor:
    """A coin for each of `count` images; drawn once, since the batches of an epoch would each draw those of all."""
    return torch.randint(2, (count,), generator=torch.Generator().manual_seed(seed))


def draw_moves(count: int, pixels: int, generator: torch.Generator) -> Tensor:
    """By how many rows and columns each of `count` images moves, up to `pixels` each way, as integers (2, B, 1)."""
    return torch.randint(-pixels, pixels + 1, (2, count, 1), generator=generator)


def shift_and_flip(images: Tensor, flipped: Tensor, moves: Tensor) -> Tensor:
    """Images (B, H, W, C) moved by `moves` and mirrored where `flipped`.

    What moves in is the mirror image of the border.
    """
    count, height, width = images.shape[:3]
    device = images.device
    rows = _reflected(torch.arange(height, device=device) + moves[0], height)
    columns = _reflected(torch.arange(width, device=device) + moves[1], width)
    columns = torch.where(flipped[:, None], width - 1 - columns, columns)
    # Whole pixels of one long row: three times as fast on a CPU as an index for each axis.
    rows = rows + height * torch.arange(count, device=device)[:, None]
    pixels = rows[:, :, None] * width + columns[:, None, :]
    return images.flatten(0, 2).index_select(0, pixels.flatten()).view(images.shape)


def draw_transforms(count: int, degrees: float, scale: float, generator: torch.Generator) -> Tensor:
    """Rotations by up to `degrees`, up to `scale` larger or smaller, as affine matrices (B, 2, 3)."""
    angles = (torch.rand(count, generator=generator) * 2 - 1) * math.radians(degrees)
    zooms = 1 / (1 + (torch.rand(count, generator=generator) * 2 - 1) * scale)
    transforms = torch.zeros(count, 2, 3)
    transforms[:, 0, 0] = transforms[:, 1, 1] = angles.cos() * zooms
    transforms[:, 0, 1], transforms[:, 1, 0] = -angles.sin() * zooms, angles.sin() * zooms
    return transforms


def rotate_and_scale(images: Tensor, transforms: Tensor) -> Tensor:
    """Images (B, H, W, C) under affine `transforms` (B, 2, 3), as floats; the border continues beyond the image."""
    x = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(transforms, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)


def draw_corners(count: int, height: int, width: int, side: int, generator: torch.Generator) -> Tensor:
    """The top row and left column of a square of `side` pixels in each of `count` images, as integers (2, B, 1)."""
    top = torch.randint(height - side + 1, (count, 1), generator=generator)
    left = torch.randint(width - side + 1, (count, 1), generator=generator)
    return torch.stack([top, left])


def cutout(images: Tensor, corners: Tensor, side: int, average: Average = alone) -> Tensor:
    """Images (B, H, W, C) with a square of `side` pixels, at `corners`, painted in the batch's mean colour, which is
    that of all processes with another `average`.

    DeVries and Taylor 2017, https://arxiv.org/abs/1708.04552.
    """
    height, width = images.shape[1:3]
    top, left = corners
    rows = torch.arange(height, device=images.device) - top
    columns = torch.arange(width, device=images.device) - left
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None]
    mean = average(images.float().mean(dim=(0, 1, 2))).to(images.dtype)
    return torch.where(inside[..., None], mean, images)


def resized(x: Tensor, size: int | None) -> Tensor:
    """Floats (B, C, H, W) as (B, C, size, size), bilinear without aliasing; None: as they are."""
    if size is None or x.shape[2:] == (size, size):
        return x
    scaled = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
    return scaled.contiguous(memory_format=torch.channels_last)


def _reflected(positions: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - positions.abs()).abs()
