"""Figures of the augmentation in the training loop."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from convzoo.plots import picture
from convzoo.training import augmentation
from convzoo.training.augmentation import cutout, flips, rotate_and_scale, shift_and_flip
from figures.drawing import WIDTH, bare, show_image
from figures.trained import Data

REPEATS = 7  # times that an image is shown


def draw_augmentation(path: Path, data: Data, image: np.ndarray) -> None:
    """Draw one image under each kind of augmentation, several times."""
    batch = torch.from_numpy(np.stack([image] * REPEATS))
    unflipped = torch.zeros(REPEATS, dtype=torch.bool)

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    index = torch.zeros(REPEATS, dtype=torch.long)
    alternating = torch.cat([flips("alternating", index[:1], epoch, 1, 0, generator()) for epoch in range(REPEATS)])
    pixels, side = max(1, image.shape[0] // 8), image.shape[0] // 3
    still = torch.zeros(2, REPEATS, 1, dtype=torch.long)
    moves = augmentation.draw_moves(REPEATS, pixels, generator())
    turned = augmentation.draw_transforms(REPEATS, 15, 0, generator())
    scaled = augmentation.draw_transforms(REPEATS, 0, 0.25, generator())
    corners = augmentation.draw_corners(REPEATS, *image.shape[:2], side, generator())
    rows: list[tuple[str, Tensor]] = [
        ("flip:\nalternating", shift_and_flip(batch, alternating, still)),
        (f"shift: {pixels}", shift_and_flip(batch, unflipped, moves)),
        ("rotation: 15", rotate_and_scale(batch, turned)),
        ("scale: 0.25", rotate_and_scale(batch, scaled)),
        (f"cutout: {side}", cutout(batch, corners, side)),
    ]
    with picture(path, WIDTH, 0.9 * len(rows)) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
        grid = figure.subplots(len(rows), REPEATS + 1)
        for line, (name, augmented) in zip(grid, rows, strict=True):
            show_image(line[0], image)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
            for axes, pixels in zip(line[1:], augmented.round().clamp(0, 255).to(torch.uint8).numpy(), strict=True):
                show_image(axes, pixels)
        bare(grid[0, 0], "original")
        for number, axes in enumerate(grid[0, 1:], 1):
            bare(axes, f"epoch {number}")
