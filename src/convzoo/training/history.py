"""The record of a training: a row an epoch, shown as it grows and kept as history.csv."""

import csv
import io
import sys
import time
from pathlib import Path

from tqdm import tqdm

from convzoo.files import new_file

Row = dict[str, int | float]


def write_history(path: Path, rows: list[Row]) -> None:
    """Write rows as CSV; floats with 6 digits, so that the same training gives the same text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row.values()] for row in rows)
    with new_file(path) as temporary:
        temporary.write_text(text.getvalue())


class Progress:
    """A bar over the steps of an epoch on a terminal, and a plain line an epoch everywhere."""

    def __init__(self, network: str, epochs: int, steps: int, quiet: bool) -> None:
        self.title, self.epochs, self.quiet = network, epochs, quiet
        show = not quiet and sys.stderr.isatty()
        self.bar = tqdm(total=steps, desc=network, unit="step", leave=False, disable=not show)
        self.started = time.perf_counter()

    def step(self) -> None:
        self.bar.update()

    def epoch(self, row: Row) -> None:
        """Show the row of an epoch and start on the next one."""
        seconds, self.started = time.perf_counter() - self.started, time.perf_counter()
        self.bar.reset()
        values = " ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
        if not self.quiet:
            tqdm.write(f"{self.title} epoch {row['epoch']}/{self.epochs} {values} ({seconds:.1f} s)")
            sys.stdout.flush()

    def close(self) -> None:
        self.bar.close()
