"""Pictures for the report: their bytes as part of the page, compressed so that the page stays small, and curves."""

import base64
import io
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageSequence

from convzoo.errors import ConvzooError
from convzoo.plots import picture
from convzoo.report.tables import Table, read_csv, words

SUFFIXES = (".png", ".gif")
MOST_ROWS = 120  # a CSV file with more rows is not shown beside its picture
LEAST_WIDTH = 480  # pixels; a smaller picture is enlarged by a whole factor
DETAILED = 1000  # pixels; a picture that is wider than this and than high gets the whole width of the page
MOST_WIDTH, MOST_WIDTH_BROAD = 800, 1200  # pixels; a wider picture is reduced
THUMBNAIL = 240  # pixels of a side
FRAMES = 8  # of an animation at most
MOST_COLOURS = 1024  # a picture with more of them is compressed with loss
QUALITY = 65  # of that compression, from 0 to 100

KINDS = ("loss", "accuracy", "probability")  # columns of history.csv with these endings share a panel; these come first
SPLITS = ("train_", "val_", "test_")
COST = "train_petaflops"  # almost a straight line


class Picture(NamedTuple):
    """A picture as part of the page."""

    name: str
    caption: str  # a sentence
    address: str  # a data: URI with the bytes
    width: int  # as shown, in pixels
    height: int
    is_broad: bool  # needs the whole width of the page
    is_enlarged: bool
    table: Table | None  # the numbers behind it


def pictures_in(folder: Path, captions: Mapping[str, str]) -> list[Picture]:
    """Every picture in a folder, sorted by name; with the numbers of a CSV file of the same name.

    `captions` are by name without suffix; other pictures have their name as caption.
    """
    files = sorted(file for file in folder.glob("*") if file.suffix in SUFFIXES) if folder.is_dir() else []
    return [
        _picture(file, captions.get(file.stem) or _sentence(words(file.stem)), _numbers(file.with_suffix(".csv")))
        for file in files
    ]


def thumbnail(file: Path) -> str | None:
    """The largest square at the top left of a picture, reduced, as a data: URI; None if there is no such file."""
    if not file.is_file():
        return None
    (frame, *_), _ = _frames(file)
    side = min(frame.size)
    return _address(_reduced(frame.crop((0, 0, side, side)), THUMBNAIL), is_lossless=False)


def curves(history: list[list[str]]) -> Picture:
    """The columns of history.csv over the epochs, those of one kind (loss, accuracy, ...) in one panel.

    A line connects the epochs that have a value.
    """
    header, *rows = history
    panels: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for index, column in enumerate(header[1:], start=1):
        if column != COST:
            panels.setdefault(_kind(column), []).append(index)
    panels = {kind: columns for kind, columns in panels.items() if columns}
    across = min(3, max(len(panels), 1))
    down = math.ceil(max(len(panels), 1) / across)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "curves.png"
        with picture(file, 3.6 * across, 2.9 * down) as figure:
            for place, (kind, columns) in enumerate(panels.items(), start=1):
                axes = figure.add_subplot(down, across, place)
                for index in columns:
                    points = [(float(row[0]), float(row[index])) for row in rows if row[index]]
                    marker = "o" if len(points) <= 30 else None
                    axes.plot(*zip(*points, strict=True), marker=marker, label=words(header[index])) if points else None
                axes.set(title=words(kind), xlabel=header[0])
                axes.xaxis.get_major_locator().set_params(integer=True)
                axes.ticklabel_format(axis="y", style="plain", useOffset=False)  # numbers that can be read off
                if len(columns) > 1:
                    axes.legend()
        names = [words(kind) for kind in panels]
        listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        with_gaps = [words(name) for index, name in enumerate(header) if any(not row[index] for row in rows)]
        gaps = f" Some epochs have no value of {', '.join(with_gaps)}." if with_gaps else ""
        return _picture(file, f"{_sentence(f'{listed} by {header[0]}')}{gaps}")


def _picture(file: Path, caption: str, table: Table | None = None) -> Picture:
    frames, duration = _frames(file)
    width, height = frames[0].size
    is_broad = len(frames) == 1 and width > max(height, DETAILED)
    most = MOST_WIDTH_BROAD if is_broad else MOST_WIDTH
    is_lossless = width <= most and (width < LEAST_WIDTH or frames[0].getcolors(MOST_COLOURS) is not None)
    more: dict[str, Any] = {}
    if len(frames) > 1:
        more = {"save_all": True, "append_images": [_reduced(frame, most) for frame in frames[1:]], "loop": 0}
        more |= {"duration": duration}
    image = _reduced(frames[0], most)
    factor = math.ceil(LEAST_WIDTH / width)
    width, height = image.width * factor, image.height * factor
    return Picture(
        words(file.stem), caption, _address(image, is_lossless, **more), width, height, is_broad, factor > 1, table
    )


def _frames(file: Path) -> tuple[list[Image.Image], int]:
    """The picture, or at most FRAMES evenly spaced frames of an animation, and how long each is shown (ms)."""
    try:
        with Image.open(file) as image:
            frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
            duration = int(image.info.get("duration", 500))
    except OSError as error:
        raise ConvzooError(f"{file}: is not a picture, expected a PNG or GIF file; run: dvc checkout") from error
    count = min(FRAMES, len(frames))
    chosen = [frames[round(number * (len(frames) - 1) / max(count - 1, 1))] for number in range(count)]
    return chosen, duration


def _reduced(image: Image.Image, width: int) -> Image.Image:
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)


def _address(image: Image.Image, is_lossless: bool, **more: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, "WEBP", lossless=is_lossless, quality=QUALITY, method=4, **more)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _numbers(file: Path) -> Table | None:
    if not file.is_file():
        return None
    header, *rows = read_csv(file)
    return Table([words(name) for name in header], rows) if len(rows) <= MOST_ROWS else None


def _sentence(name: str) -> str:
    return f"{name[0].upper()}{name[1:]}."


def _kind(column: str) -> str:
    for kind in KINDS:
        if column.endswith(f"_{kind}"):
            return kind
    return next((column.removeprefix(split) for split in SPLITS if column.startswith(split)), column)
