"""Figures of the augmentation in the training loop."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from convzoo.plots import picture
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
    pixels = max(1, image.shape[0] // 8)
    rows: list[tuple[str, Tensor]] = [
        ("flip:\nalternating", shift_and_flip(batch, alternating, 0, generator())),
        (f"shift: {pixels}", shift_and_flip(batch, unflipped, pixels, generator())),
        ("rotation: 15", rotate_and_scale(batch, 15, 0, generator())),
        ("scale: 0.25", rotate_and_scale(batch, 0, 0.25, generator())),
        (f"cutout: {image.shape[0] // 3}", cutout(batch, image.shape[0] // 3, generator())),
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
