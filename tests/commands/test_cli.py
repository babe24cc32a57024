"""The command line as a whole: its help, how little it imports, and errors that several commands share."""

import json

import pytest
from helpers.project import ROOT, python
from typer.testing import CliRunner

from convzoo.cli import COMMANDS, app

HEAVY = {"great_expectations", "lightning_fabric", "mlflow", "numpy", "onnxruntime", "PIL", "rich", "torch"}
NO_COMMANDS = {"__init__", "outputs", "shared"}


def test_every_command_is_a_file():
    assert sorted(COMMANDS) == sorted(
        {file.stem for file in (ROOT / "src/convzoo/commands").glob("*.py")} - NO_COMMANDS
    )


def test_the_help_has_a_line_per_command():
    output = CliRunner().invoke(app, ["--help"]).output
    lines = [line.split(maxsplit=1) for line in output.partition("Commands:\n")[2].splitlines()]
    assert [name for name, _ in lines] == list(COMMANDS)
    assert all(summary.endswith(".") for _, summary in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_starts_with_the_line_in_the_list(command):
    summary = next(
        line.split(maxsplit=1)[1]
        for line in CliRunner().invoke(app, ["--help"]).output.splitlines()
        if line.startswith(f"  {command} ")
    )
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert result.output.splitlines()[2].strip() == summary


@pytest.mark.parametrize(
    ("arguments", "excluded"),
    [
        (["--help"], HEAVY | {"pydantic", "ruamel"}),
        (["check"], HEAVY),
        (["profile"], HEAVY),
        (["status", "--help"], HEAVY | {"ruamel"}),
        (["repro", "--help"], HEAVY),
    ],
)
def test_a_light_command_imports_no_heavy_library(arguments, excluded):
    code = (
        "import json, runpy, sys\n"
        "sys.argv[0] = 'convzoo'\n"
        "try:\n"
        "    runpy.run_module('convzoo.cli', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    *output, modules = python(ROOT, "-c", code, *arguments).splitlines()
    assert output and "typer" in json.loads(modules)
    assert excluded.isdisjoint(json.loads(modules))


def test_a_misspelled_command_gets_a_suggestion():
    result = CliRunner().invoke(app, ["prdict"])
    assert result.exit_code == 2
    assert "No such command 'prdict'. Did you mean 'predict'?" in result.stderr


@pytest.mark.parametrize("command", ["promote", "repeat", "rollback", "sync"])
def test_an_unknown_network_is_named_with_the_known_ones(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(app, [command, "mnist"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: network 'mnist': not in params.yaml, expected one of: mnist-classifier, ")
