"""What errors say: the first line of a message, which other messages quote, and the traceback on request."""

import io
import sqlite3
import sys

import pytest
from sqlalchemy.exc import OperationalError

from convzoo import errors
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
        (FileNotFoundError(2, "No such file or directory", "a.json"), "No such file or directory: 'a.json'"),
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


@pytest.mark.parametrize("value", [None, "0", "1"])
def test_the_traceback_of_an_error_is_shown_on_request_and_without_passwords(monkeypatch, capsys, value):
    def fail() -> None:
        raise sqlite3.OperationalError("no answer from http://user:secret@host/x")

    monkeypatch.delenv("CONVZOO_TRACEBACK", raising=False)
    if value:
        monkeypatch.setenv("CONVZOO_TRACEBACK", value)
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(SystemExit):
        errors.main(fail)
    printed = capsys.readouterr().err
    assert ("Traceback" in printed and "in fail\n" in printed) == (value == "1")
    assert printed.splitlines()[-1].startswith("error: MLflow's store failed (OperationalError: no answer from ")
    assert "secret" not in printed
