"""Tables and lists as text."""

from collections.abc import Callable, Sequence


def drawable(text: str, has_glyph: Callable[[str], bool]) -> str:
    """`text` with an escape, such as \\u732b, for each character that a font has no glyph for, instead of a box."""
    return "".join(
        letter if letter == "\n" or has_glyph(letter) else letter.encode("unicode_escape").decode() for letter in text
    )


def in_columns(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells with every column as wide as it needs, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)


def first_names(names: Sequence[str], most: int = 5) -> str:
    """The first `most` names, separated by commas, followed by an ellipsis if there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def percent(share: float, digits: int = 2) -> str:
    """A share as in 97.30 %."""
    return f"{100 * share:.{digits}f} %"
