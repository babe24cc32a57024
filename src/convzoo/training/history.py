"""The history of a training: one row of metrics per epoch, written to history.csv."""

import csv
import io
from pathlib import Path

from convzoo.files import new_file

Row = dict[str, int | float | None]  # None: not measured in this epoch


def write_history(path: Path, rows: list[Row]) -> None:
    """Write rows as CSV; floats with 6 digits, so that the same training gives the same text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row.values()] for row in rows)
    with new_file(path) as temporary:
        temporary.write_text(text.getvalue())
