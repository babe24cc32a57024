"""Drawing functions shared by the figures of docs/networks/: images, feature maps and mosaics of maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from convzoo.files import new_file
from convzoo.plots import BLUE, INK, ORANGE

WIDTH = 7.6  # inches: GitHub shows it without scaling it down
SIGNED = LinearSegmentedColormap.from_list("signed", ["#8a4505", ORANGE, "#f8fafc", BLUE, "#123a66"])
PALE = "#cbd5e1"


def bare(axes: Axes, title: str = "", caption: str = "") -> Axes:
    """Remove ticks, grid and frame from axes, and add a small centred title above and a caption below."""
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    if title:
        axes.set_title(title, fontsize=9, fontweight="normal", loc="center", color=INK, pad=5)
    if caption:
        axes.set_xlabel(caption, fontsize=8, color=INK)
    return axes


def show_image(axes: Axes, image: np.ndarray, title: str = "", caption: str = "") -> None:
    """Draw an image uint8 (H, W, 1 or 3)."""
    axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, "gray", vmin=0, vmax=255)
    bare(axes, title, caption)


def show_map(axes: Axes, values: np.ndarray, title: str = "", caption: str = "", limit: float | None = None) -> None:
    """Draw a map (H, W): blue above zero, orange below, white at zero; colours saturate at `limit`."""
    limit = limit or float(np.abs(values).max()) or 1.0
    axes.imshow(values, SIGNED, vmin=-limit, vmax=limit)
    bare(axes, title, caption)


def write_numbers(axes: Axes, values: np.ndarray, size: float = 7, pattern: str = "{:.1f}", limit: float = 0) -> None:
    """Write the numbers of a map (H, W) into its cells, in white on dark colours."""
    limit = limit or float(np.abs(values).max()) or 1.0
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if abs(value) > 0.45 * limit else INK
        text = pattern.format(value).replace("-0.0", "0.0")
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)


def ring(axes: Axes, row: float, column: float, height: float = 1, width: float = 1, colour: str = INK) -> None:
    """Draw a frame around cells of a map, starting at `row` and `column`."""
    axes.add_patch(
        Rectangle(
            (column - 0.5, row - 0.5),
            width,
            height,
            fill=False,
            edgecolor=colour,
            linewidth=1.6,
            clip_on=False,
            zorder=5,
        )
    )


def mosaic(maps: np.ndarray, columns: int, gap: float = np.nan) -> np.ndarray:
    """Arrange maps (N, H, W) in a grid as one map, separated by cells of the value `gap`."""
    count, height, width = maps.shape
    space = max(1, round(height / 14))
    rows = -(-count // columns)
    sheet = np.full((rows * (height + space) - space, columns * (width + space) - space), gap, np.float64)
    for number, values in enumerate(maps):
        top, left = number // columns * (height + space), number % columns * (width + space)
        sheet[top : top + height, left : left + width] = values
    return sheet


def show_mosaic(axes: Axes, maps: np.ndarray, columns: int, title: str = "", colours: Colormap | None = None) -> None:
    """Draw maps (N, H, W) on one scale up to their 99.5th percentile, so that a single peak does not dim the rest."""
    limit = float(np.percentile(np.abs(maps), 99.5)) or 1.0
    axes.imshow(mosaic(maps, columns), colours or SIGNED, vmin=0 if colours else -limit, vmax=limit)
    bare(axes, title)


def strongest(maps: Tensor, count: int) -> np.ndarray:
    """Return the `count` maps of (C, H, W) with the greatest sums of squares, in the order of channels."""
    order = maps.flatten(1).square().sum(1).argsort(descending=True)[:count].sort().values
    return maps[order].numpy()


def labelled(axes: Axes, title: str, x: str = "", y: str = "") -> Axes:
    """Add a title and axis labels."""
    axes.set_title(title, fontsize=9.5)
    axes.set_xlabel(x, fontsize=8.5)
    axes.set_ylabel(y, fontsize=8.5)
    axes.tick_params(labelsize=8)
    return axes


def scatter(axes: Axes, points: np.ndarray, labels: np.ndarray, names: Sequence[str], colours: Sequence[str]) -> None:
    """Draw points (N, 2) with one colour per class."""
    for number, name in enumerate(names):
        of_class = points[labels == number]
        axes.plot(of_class[:, 0], of_class[:, 1], ".", color=colours[number % len(colours)], label=name, markersize=4)


def pack(file: Path) -> None:
    """Reduce a PNG file to 256 colours, which suffice for curves and small images."""
    with Image.open(file) as opened:
        packed = opened.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    with new_file(file) as temporary:
        packed.save(temporary, format="PNG", optimize=True)
