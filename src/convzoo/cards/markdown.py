"""Pieces of Markdown from numbers and from text of others, such as class names."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from convzoo.text import first_names, percent

NAME_LENGTH = 40  # characters of a name; longer names are cut
PLAIN = re.compile(rf"(?=.{{1,{NAME_LENGTH}}}$)[^\W_]+([ _-][^\W_]+)*")  # a name in which nothing acts as Markdown
SHARES = ("accuracy", "precision", "recall")  # metrics whose names end so are shares from 0 to 1


def code(text: Any, length: int = NAME_LENGTH) -> str:
    """A text as code in one line of at most `length` characters, so that nothing in it acts as Markdown."""
    line = " ".join(str(text).replace("`", "'").split())
    if len(line) > length:
        line = line[: length - 1] + "…"
    return f"`{line or ' '}`"


def in_brackets(names: Sequence[str]) -> str:
    """The first of these names for a sentence, such as " (daisy, rose, tulip)"; empty if there are none."""
    return f" ({first_names([name if PLAIN.fullmatch(name) else code(name) for name in names])})" if names else ""


def link(address: str) -> str:
    """An http address as a link; any other text as code."""
    return f"<{address}>" if re.fullmatch(r"https?://[^\s<>]{1,200}", address) else code(address)


def image_count(score: Mapping[str, Any]) -> str:
    """The number of images behind a class's score, as in " of 3 images"; empty if it is unknown."""
    images = score.get("images")
    return "" if images is None else f" of {images:,} image{'s' if images != 1 else ''}"


def number(name: str, value: Any) -> str:
    """A metric's value as text: shares in percent, whole numbers with commas, four digits otherwise."""
    if value is None:
        return "unknown"
    if isinstance(value, float) and name.endswith("psnr"):
        return f"{value:.2f} dB"
    if isinstance(value, float):
        return percent(value) if name.endswith(SHARES) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def quantity(name: str, value: float) -> str:
    """A main metric for a sentence: a share in percent with one decimal, otherwise as `number`."""
    return percent(value, 1) if name.endswith(SHARES) else number(name, float(value))


def interval(name: str, metrics: Mapping[str, float], confidence: float | None) -> str:
    """The interval of a metric, such as "95 % confidence interval 97.2 to 98.9 %"; empty if it has none."""
    bounds = [metrics[key] for key in (f"{name}_low", f"{name}_high") if key in metrics]
    if len(bounds) < 2:
        return ""
    low, high = (quantity(name, bound) for bound in bounds)
    unit = high[high.index(" ") :] if " " in high else ""
    share = f"{100 * confidence:g} % " if confidence else ""
    return f"{share}confidence interval {low.removesuffix(unit)} to {high}"


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A table; bars in cells are escaped, because they would end the cell."""
    lines = [header, ["---"] * len(header), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def block(language: str, *lines: str) -> str:
    """A code block."""
    return "\n".join([f"```{language}", *lines, "```"])
