"""What errors say: the first line of a message, which other messages quote, and the traceback on request."""

import ast
import io
import re
import sqlite3
import sys

import pytest
from helpers.project import ROOT
from sqlalchemy.exc import OperationalError

from convzoo import errors
from convzoo.errors import first_line

# Modules that speak of DVC's own command: they run it, or name it in a tag.
DVC_ITSELF = {"commands/repro.py", "commands/reproduce.py", "tracking/labels.py"}


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


def test_no_message_names_a_dvc_command_that_convzoo_replaces_or_that_needs_a_remote():
    for file in (ROOT / "src/convzoo").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
                continue
            name = file.relative_to(ROOT / "src/convzoo").as_posix()
            found = re.findall(r"dvc (?:repro|pull|push|fetch)\b", node.value)
            if name == "repro/summary.py":  # names it only if there is a remote
                found = [command for command in found if command != "dvc push"]
            assert not found or name in DVC_ITSELF, f"{name}:{node.lineno}: {node.value}"
