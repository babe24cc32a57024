"""Pictures for the report: their bytes as part of the page, and the curves of a training."""

import base64
import io
import math
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from convzoo.errors import ConvzooError
from convzoo.plots import picture
from convzoo.report.tables import Table, read_csv, words

TYPES = {".png": "image/png", ".gif": "image/gif"}
MOST_ROWS = 120  # a CSV file with more rows is not shown beside its picture
LEAST_WIDTH = 480  # pixels; a smaller picture is enlarged by a whole factor

KINDS = ("loss", "accuracy", "probability")  # columns of history.csv with these endings share a panel; these come first
SPLITS = ("train_", "val_", "test_")


class Picture(NamedTuple):
    """A picture as part of the page."""

    caption: str
    address: str  # a data: URI with the bytes
    width: int  # as shown, in pixels
    height: int
    is_enlarged: bool
    table: Table | None  # the numbers behind it


def pictures_in(folder: Path) -> list[Picture]:
    """Every picture in a folder, sorted by name; with the numbers of a CSV file of the same name."""
    files = sorted(file for file in folder.glob("*") if file.suffix in TYPES) if folder.is_dir() else []
    return [_picture(words(file.stem), file, _numbers(file.with_suffix(".csv"))) for file in files]


def curves(history: list[list[str]]) -> Picture:
    """The columns of history.csv over the epochs, those of one kind (loss, accuracy, ...) in one panel."""
    header, *rows = history
    epochs = [float(row[0]) for row in rows]
    panels: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for index, column in enumerate(header[1:], start=1):
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
                    values = [float(row[index] or "nan") for row in rows]
                    axes.plot(epochs, values, marker="o" if len(rows) <= 30 else None, label=words(header[index]))
                axes.set(title=words(kind), xlabel=header[0])
                axes.xaxis.get_major_locator().set_params(integer=True)
                if len(columns) > 1:
                    axes.legend()
        return _picture(", ".join(map(words, panels)) + " in each " + header[0], file)


def _picture(caption: str, file: Path, table: Table | None = None) -> Picture:
    content = file.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except OSError as error:
        raise ConvzooError(f"{file}: is not a picture, expected a PNG or GIF file; run: dvc checkout") from error
    factor = math.ceil(LEAST_WIDTH / width)
    address = f"data:{TYPES[file.suffix]};base64,{base64.b64encode(content).decode()}"
    return Picture(caption, address, width * factor, height * factor, factor > 1, table)


def _numbers(file: Path) -> Table | None:
    if not file.is_file():
        return None
    header, *rows = read_csv(file)
    return Table([words(name) for name in header], rows) if len(rows) <= MOST_ROWS else None


def _kind(column: str) -> str:
    for kind in KINDS:
        if column.endswith(f"_{kind}"):
            return kind
    return next((column.removeprefix(split) for split in SPLITS if column.startswith(split)), column)
