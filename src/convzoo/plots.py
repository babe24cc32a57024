"""Plots in one style, which have the same bytes for the same numbers."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.category import StrCategoryFormatter
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter

from convzoo.files import new_file
from convzoo.text import drawable

BLUE, ORANGE, GREEN, GREY = "#2563a8", "#d9720b", "#2f8558", "#6b7280"
INK = "#1f2937"
COLOURS = [BLUE, ORANGE, GREEN, "#b5365f", "#7a52b3", "#0f8b96", "#8a6d1a", GREY]
BLUES = LinearSegmentedColormap.from_list("convzoo", ["#f4f7fb", "#8db4dd", BLUE, "#123a66"])

NAMED_TICKS = (FixedFormatter, FuncFormatter, StrCategoryFormatter)  # other formatters write numbers
GALLERY_COLUMNS = 6
CELL, GAP, LINE = 1.25, 0.1, 0.12  # inches: an image of a gallery, the space around it, a line of its caption
TITLE_LETTER = 0.095  # inches: width of a letter of a title

STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.09,
    "figure.constrained_layout.h_pad": 0.07,
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters on every machine
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "axes.edgecolor": "#9ca3af",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "image.interpolation": "nearest",  # every pixel stays a square
    "legend.frameon": False,
}


@contextmanager
def picture(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield a figure of `width` by `height` inches and save it to `path` as PNG afterwards.

    Independent of window systems, pyplot's global state and the user's matplotlibrc.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, without a version or timestamp in the file."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_formatter(), NAMED_TICKS):
            axis.set_major_formatter(FuncFormatter(_drawn_ticks(axis.get_major_formatter())))
    for text in figure.findobj(Text):
        text.set_text(_as_drawn(text.get_text()))
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _drawn_ticks(formatter: Formatter) -> Callable[[float, int | None], str]:
    return lambda value, position: _as_drawn(formatter(value, position))


def _as_drawn(text: str) -> str:
    """`text`, which may contain any class or file name, without what matplotlib cannot draw or takes for a formula."""
    return drawable(text, _has_glyph).replace("$", r"\$")


@functools.cache
def _has_glyph(letter: str) -> bool:
    return get_font(findfont("DejaVu Sans")).get_char_index(ord(letter)) != 0


def gallery(path: Path, images: Sequence[np.ndarray], captions: Sequence[str], title: str) -> None:
    """Save uint8 images (H, W, 1 or 3) of equal size in rows, above their captions; without images only the title."""
    columns = min(GALLERY_COLUMNS, max(len(images), 1))
    rows = math.ceil(len(images) / columns)
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    column_width, row_height = CELL + GAP, CELL + 2 * GAP + LINE * lines
    size = min(7, 154 / max((len(line) for caption in captions for line in caption.split("\n")), default=1))  # points
    width, height = max(columns * column_width + GAP, TITLE_LETTER * len(title)), 0.4 + rows * row_height
    with picture(path, width, height) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), frameon=False)
        axes.axis("off")
        axes.text(GAP, height - 0.1, title, fontsize=10, fontweight="bold", va="top")
        for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
            left, top = GAP + index % columns * column_width, height - 0.4 - index // columns * row_height
            extent = (left, left + CELL, top - CELL, top)
            axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, "gray", vmin=0, vmax=255, extent=extent)
            axes.text(left + CELL / 2, top - CELL - GAP / 2, caption, ha="center", va="top", fontsize=size, color=INK)
        axes.set(xlim=(0, width), ylim=(0, height))  # inches
