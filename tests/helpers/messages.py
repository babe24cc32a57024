"""What a row of a table of messages is, and how its message is brought about and looked at."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from convzoo.errors import ConvzooError


class Row(NamedTuple):
    """A case, and the three parts of its message: regular expressions."""

    case: str
    cause: Callable[[SimpleNamespace], object]  # raises or prints it; what it gets is the world of the test
    thing: str
    expected: str
    advice: str


def each(*groups: list[Row]) -> pytest.MarkDecorator:
    """A test for each row; no case may stand there twice."""
    rows = [row for group in groups for row in group]
    assert len({row.case for row in rows}) == len(rows)
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.case)


def look(row: Row, world: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    """Bring the message about and find its three parts in it, each in words of its own."""
    try:
        row.cause(world)
    except ConvzooError as error:
        told = str(error)
    else:
        told = "".join(capsys.readouterr())
    assert all(row), f"{row.case}: the table lacks a part"
    for name, part in zip(row._fields[2:], row[2:], strict=True):
        assert re.search(part, told), f"{row.case}: the {name} ({part}) is not in {told!r}"
        told = re.sub(part, "|", told, count=1)
