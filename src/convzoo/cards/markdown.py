"""Pieces of Markdown from numbers and from names that somebody else chose."""

import re
from collections.abc import Iterable
from typing import Any

LONGEST = 40  # letters of a name; of a longer one the end is left out
SHARES = ("accuracy", "precision", "recall")  # what ends so is a share from 0 to 1


def code(name: Any, longest: int = LONGEST) -> str:
    """A name or other foreign text as code, in one line, so that nothing in it acts as Markdown."""
    text = " ".join(str(name).replace("`", "'").split())
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return f"`{text or ' '}`"


def link(address: str) -> str:
    """A published address to click; anything else as code."""
    return f"<{address}>" if re.fullmatch(r"https?://[^\s<>]{1,200}", address) else code(address)


def percent(share: float) -> str:
    """As in 97.30 %."""
    return f"{100 * share:.2f} %"


def number(name: str, value: Any) -> str:
    """A value as a reader wants it: shares in percent, whole numbers with commas, four digits of the rest."""
    if value is None:
        return "unknown"
    if isinstance(value, float) and name.endswith("psnr"):
        return f"{value:.2f} dB"
    if isinstance(value, float):
        return percent(value) if name.endswith(SHARES) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A table; a bar within a cell is escaped, which would end it otherwise."""
    lines = [header, ["---"] * len(header), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def block(language: str, *lines: str) -> str:
    """Lines of a program or a shell."""
    return "\n".join([f"```{language}", *lines, "```"])
