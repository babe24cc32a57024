"""Reads the project's Markdown files: headings, links, prose, and the commands in their code blocks."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from helpers.project import ROOT

PAGES = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", "tests/**/*.md")
    for file in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in file.relative_to(ROOT).parts)
)
JOINED = re.compile(r" && | \| ")  # between two commands on one line
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"\s#\s.*$")
ASSIGNMENT = re.compile(r"[A-Z_]+=")


class Command(NamedTuple):
    """A command in a page, without its environment variables and comment."""

    page: str
    words: list[str]
    output: list[str]  # the lines that the page shows below it

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def read(page: Path) -> str:
    """The text of a page."""
    return page.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    """The text without fenced blocks."""
    return FENCE.sub("", text)


def words_of_prose(text: str) -> list[str]:
    """The words of a page without code blocks, tables, and the addresses of links."""
    prose = re.sub(r"^\|.*$", "", without_code(text), flags=re.MULTILINE)
    return re.sub(r"\]\([^)]*\)", "]", prose).split()


def links(page: Path) -> list[str]:
    """The targets of all links and images."""
    return re.findall(r"\]\(([^)\s]+)\)", without_code(read(page)))


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(read(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[Command]:
    """The commands in a page's code blocks that have no language.

    In a block with lines that begin with "$ ", these are the commands, and the lines below them are their output.
    """
    found = []
    for language, block in FENCE.findall(read(page)):
        if language:
            continue
        lines = block.replace("\\\n", " ").splitlines()
        is_session = any(line.startswith("$ ") for line in lines)
        for number, line in enumerate(lines):
            if is_session and not line.startswith("$ "):
                continue
            output = []
            for below in lines[number + 1 :]:
                if not is_session or below.startswith("$ "):
                    break
                output.append(below)
            for part in JOINED.split(COMMENT.sub("", line.removeprefix("$ "))):
                words = shlex.split(part, comments=True)
                while words and ASSIGNMENT.match(words[0]):
                    words = words[1:]
                if words:
                    found.append(Command(page.relative_to(ROOT).as_posix(), words, output))
    return found


def inline_commands(page: Path) -> list[list[str]]:
    """The words of each code span in the prose and tables of a page that begins with `convzoo` or `make`."""
    spans = re.findall(r"(?<!`)`((?:convzoo|make) [^`]+)`", without_code(read(page)))
    return [span.split() for span in spans]
