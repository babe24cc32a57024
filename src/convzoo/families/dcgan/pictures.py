"""Plots of a generator's training, drawn without torch from the arrays in extra/."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convzoo.data.arrays import load_array
from convzoo.data.contact_sheet import BACKGROUND, FONT_SIZE, GAP, INK, LINE, contact_sheet, write_picture

GIF_BYTES, GIF_COLOURS = 1_500_000, 64  # at most
GIF_STEP, GIF_END = 350, 2500  # milliseconds per frame, and for the last frame
TITLES = ["real", "as the discriminator sees them", "generated", "as the discriminator sees them"]


def draw_training(network: str, extra: Path, kept: Mapping[str, Any], plots: Path) -> None:
    """Write progress.gif, first_and_last.png, latent_walk.png and real_augmented_generated.png into `plots`.

    `kept` is the content of kept.json. Raises ConvzooError if an array is missing.
    """
    grids = load_array(extra / "progress.npy", network)
    draw_progress(plots, dict(zip(kept["sampled_epochs"], grids, strict=True)), kept["epoch"])
    write_picture(contact_sheet(load_array(extra / "latent_walk.npy", network)), plots / "latent_walk.png")
    rows = load_array(extra / "real_augmented_generated.npy", network)
    write_picture(contact_sheet(rows, TITLES), plots / "real_augmented_generated.png")


def draw_progress(plots: Path, grids: Mapping[int, np.ndarray], kept: int) -> None:
    """Write progress.gif and first_and_last.png from grids by epoch, all of the same latents."""
    frames = [titled(images, f"epoch {epoch}") for epoch, images in grids.items()]
    (plots / "progress.gif").write_bytes(animation(frames))
    sheets = []
    for epoch in sorted({min(grids), kept, max(grids)}):
        sheets.append(titled(grids[epoch], f"epoch {epoch}" + ", the one kept" * (epoch == kept)))
    joined = Image.new("RGB", (sum(sheet.width for sheet in sheets), sheets[0].height), BACKGROUND)
    for number, sheet in enumerate(sheets):
        joined.paste(sheet, (number * sheet.width, 0))
    write_picture(joined, plots / "first_and_last.png")


def titled(grid: np.ndarray, title: str) -> Image.Image:
    """Draw a title above a grid of images uint8 (rows, columns, H, W, C)."""
    sheet = contact_sheet(grid)
    picture = Image.new("RGB", (sheet.width, sheet.height + LINE), BACKGROUND)
    font = ImageFont.load_default(FONT_SIZE)
    ImageDraw.Draw(picture).text((GAP, GAP // 2), title, fill=INK, font=font)
    picture.paste(sheet, (0, LINE))
    return picture


def animation(frames: Sequence[Image.Image]) -> bytes:
    """Encode frames as a looping GIF with the palette of the last frame.

    Drops every second frame until the file is small enough.
    """
    palette = frames[-1].quantize(GIF_COLOURS, dither=Image.Dither.NONE)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    while True:
        encoded = io.BytesIO()
        times = [GIF_STEP] * (len(frames) - 1) + [GIF_END]
        frames[0].save(encoded, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
        if encoded.tell() <= GIF_BYTES or len(frames) <= 2:
            return encoded.getvalue()
        frames = [*frames[:-1:2], frames[-1]]
