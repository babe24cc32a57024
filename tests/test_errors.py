"""The first line of an error's message, which other messages quote."""

import pytest
from sqlalchemy.exc import OperationalError

from convzoo.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one line"), "one line"),
        (ValueError("the first line\nthe second line"), "the first line"),
        (ValueError("\n  spaces and empty lines around it  \n\n"), "spaces and empty lines around it"),
        (ValueError(), "ValueError"),
        (ValueError(" \n "), "ValueError"),
        (KeyError("key"), "'key'"),
        (FileNotFoundError(2, "No such file or directory", "a.json"), "[Errno 2] No such file or directory: 'a.json'"),
    ],
)
def test_the_first_line_of_a_message_or_the_type_of_an_error_without_one(error, line):
    assert first_line(error) == line


def test_the_hint_that_sqlalchemy_may_write_above_an_error_is_not_quoted():
    error = OperationalError("SELECT 1", {}, Exception("disk I/O error"))
    error.add_detail("raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block")
    assert str(error).startswith("(raised as a result of ")
    assert first_line(error) == "(builtins.Exception) disk I/O error"
    hint, _, _ = str(error).partition("\n")
    assert first_line(Exception(hint)) == "Exception"
