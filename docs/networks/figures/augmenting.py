"""Pictures of augmentation: what the training loop does to a batch, and the variants that are stored."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from convzoo.plots import picture
from convzoo.training.augmentation import cutout, flips, rotate_and_scale, shift_and_flip
from figures.drawing import WIDTH, bare, show_image
from figures.trained import Data

SEEN = 7  # times that an image is shown


def draw_augmentation(path: Path, data: Data, image: np.ndarray) -> None:
    """One image under each of the loop's random changes, several times over."""
    batch = torch.from_numpy(np.stack([image] * SEEN))
    still = torch.zeros(SEEN, dtype=torch.bool)

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    index = torch.zeros(SEEN, dtype=torch.long)
    sides = torch.cat([flips("alternating", index[:1], epoch, 1, 0, generator()) for epoch in range(SEEN)])
    pixels = max(1, image.shape[0] // 8)
    rows: list[tuple[str, Tensor]] = [
        ("flip:\nalternating", shift_and_flip(batch, sides, 0, generator())),
        (f"shift: {pixels}", shift_and_flip(batch, still, pixels, generator())),
        ("rotation: 15", rotate_and_scale(batch, 15, 0, generator())),
        ("scale: 0.25", rotate_and_scale(batch, 0, 0.25, generator())),
        (f"cutout: {image.shape[0] // 3}", cutout(batch, image.shape[0] // 3, generator())),
    ]
    with picture(path, WIDTH, 0.9 * len(rows)) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
        grid = figure.subplots(len(rows), SEEN + 1)
        for line, (name, made) in zip(grid, rows, strict=True):
            show_image(line[0], image)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
            for axes, pixels in zip(line[1:], made.round().clamp(0, 255).to(torch.uint8).numpy(), strict=True):
                show_image(axes, pixels)
        bare(grid[0, 0], "original")
        for number, axes in enumerate(grid[0, 1:], 1):
            bare(axes, f"epoch {number}")
