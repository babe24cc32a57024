"""Tables of text for the report, from nested values, records and CSV files."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.errors import ConvzooError, first_line
from convzoo.text import percent

NONE = "–"
FIRST_COLUMNS = ("check", "split", "unexpected")  # of a table of checks
SPELLINGS = {"f1": "F1", "psnr": "PSNR", "ssim": "SSIM", "fid": "FID", "kid": "KID", "lr": "LR"}


class Table(NamedTuple):
    """Cells of text."""

    header: list[str]
    rows: list[list[str]]
    failed: frozenset[int] = frozenset()  # the rows to highlight


def number(name: str, value: Any) -> str:
    """A metric's value as text: an accuracy in percent, whole numbers with commas, four digits otherwise."""
    if value is None or value == "":
        return NONE
    if isinstance(value, float):
        return percent(value) if name.endswith("accuracy") else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else text(value)


def words(name: str) -> str:
    """The name of a column, metric or file as words."""
    return " ".join(SPELLINGS.get(word, word) for word in name.replace("-", "_").split("_") if word)


def text(value: Any) -> str:
    """A value of a JSON file as text."""
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value)) or NONE
    if value is None or value == {}:
        return NONE
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def flat(values: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested values as rows of a dotted name and a text."""
    if isinstance(values, dict) and values:
        return [row for key, value in values.items() for row in flat(value, f"{name}.{key}" if name else str(key))]
    return [(name, text(values))] if name else []


def bounds_of(metrics: Iterable[str]) -> set[str]:
    """The names of the metrics that are ends of another one's interval."""
    lows = {key.removesuffix("_low") for key in metrics if key.endswith("_low")}
    return {f"{key}{end}" for key in lows for end in ("_low", "_high")}


def is_table(value: Any) -> bool:
    """Whether a value is a list or a dict of dicts."""
    rows = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and all(isinstance(row, dict) for row in rows)


def score_table(scores: dict[str, dict]) -> Table:
    """A row for each key, a column for each key of its values."""
    columns = _columns(scores.values())
    rows = [[str(key), *(number(column, row.get(column)) for column in columns)] for key, row in scores.items()]
    return Table(["", *map(words, columns)], rows)


def check_table(checks: list[dict]) -> Table:
    """A row for each check; a check failed if it says so, or counts unexpected rows."""
    columns = _columns(checks)
    columns.sort(key=lambda column: FIRST_COLUMNS.index(column) if column in FIRST_COLUMNS else len(FIRST_COLUMNS))
    rows = [[text(check.get(column)) for column in columns] for check in checks]
    failed = {row for row, check in enumerate(checks) if check.get("unexpected") or check.get("passed") is False}
    return Table(list(map(words, columns)), rows, frozenset(failed))


def read_csv(file: Path) -> list[list[str]]:
    """Header and rows of a CSV file. Raises ConvzooError if it is missing or has rows of different lengths."""
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
    except (OSError, ValueError) as error:
        raise unreadable(file, error) from error
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ConvzooError(f"{file}: is broken, expected a header and rows of the same length; run: dvc checkout")
    return rows


def unreadable(file: Path, error: Exception) -> ConvzooError:
    """The error for a file that cannot be read."""
    reason = getattr(error, "strerror", None) or first_line(error)
    return ConvzooError(f"{file}: cannot be read ({reason}), expected a file of the pipeline; run: convzoo repro")


def _columns(rows: Iterable[dict]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row))
