"""The command line as a whole: its help, how little it imports, and errors that several commands share."""

import shlex

import pytest
import typer
from helpers.project import ROOT, imported, python
from typer.testing import CliRunner

from convzoo.cli import COMMANDS, app
from convzoo.commands.compare import pair
from convzoo.errors import ConvzooError

HEAVY = {"great_expectations", "lightning_fabric", "mlflow", "numpy", "onnxruntime", "PIL", "rich", "torch"}
SLOW = {"great_expectations", "lightning_fabric", "mlflow", "rich", "torch"}  # more than half a second each
NO_COMMANDS = {"__init__", "outputs", "shared"}


def test_every_command_is_a_file():
    files = {file.stem for file in (ROOT / "src/convzoo/commands").glob("*.py")} - NO_COMMANDS
    assert sorted(COMMANDS) == sorted(name.replace("_", "-") for name in files)


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
    assert CliRunner().invoke(app, [command, "-h"]).output == result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_has_examples_that_parse_and_a_sentence_about_everything(command):
    group = typer.main.get_command(app)
    with group.make_context("convzoo", [command], resilient_parsing=True) as context:
        found = group.get_command(context, command)
        assert found.examples
        for example in found.examples:
            program, name, *arguments = shlex.split(example)
            assert (program, name) == ("convzoo", command)
            found.make_context(name, arguments, parent=context)  # raises an error for what it does not understand
        output = CliRunner().invoke(app, [command, "-h"]).output
        assert output.startswith(f"Usage: convzoo {command} ")
        assert all(f"  {line}\n" in output for line in found.examples)
        assert not any(mark in output for mark in ("{", "<", ">=", "<=")), "marks that only typer understands"
        for parameter in found.params:
            assert parameter.help[0].isupper() and parameter.help.endswith("."), f"{parameter.name}: {parameter.help}"


def test_python_m_convzoo_is_the_command_under_its_name():
    usage = "Usage: convzoo predict [OPTIONS] NETWORK[@ALIAS] PATH...\n"
    assert python(ROOT, "-m", "convzoo", "predict", "-h").startswith(usage)


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(app, ["--version"]).output == "convzoo 0.1.0\n"


def completed(words: str) -> list[str]:
    """What bash offers to complete the last word with."""
    count = str(len(words.split(" ")) - 1)
    variables = {"_CONVZOO_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
    return CliRunner().invoke(app, [], env=variables, prog_name="convzoo").output.split()


def test_the_shell_completes_commands_networks_profiles_and_options(monkeypatch):
    monkeypatch.chdir(ROOT / "docs")
    assert completed("convzoo pr") == ["profile", "predict", "promote", "prune"]
    assert completed("convzoo sample anime") == ["anime-dcgan"]
    assert completed("convzoo profile st") == ["starter"]
    assert "--invert" in completed("convzoo predict --in")
    monkeypatch.chdir("/")
    assert completed("convzoo sample anime") == completed("convzoo profile st") == []


@pytest.mark.parametrize(
    ("arguments", "excluded"),
    [
        (["--help"], HEAVY | {"pydantic", "ruamel"}),
        (["check"], HEAVY),
        (["profile"], HEAVY),
        (["status", "--help"], HEAVY | {"ruamel"}),
    ],
)
def test_a_light_command_imports_no_heavy_library(arguments, excluded):
    modules = imported(ROOT, *arguments)
    assert "typer" in modules and excluded.isdisjoint(modules)


def test_no_help_waits_for_a_library_that_takes_long_to_import():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from convzoo.cli import COMMANDS, app\n"
        "for command in COMMANDS:\n"
        "    assert CliRunner().invoke(app, [command, '--help']).exit_code == 0\n"
        f"    print(command, *sorted({SLOW} & sys.modules.keys()))\n"
    )
    assert python(ROOT, "-c", code).splitlines() == list(COMMANDS)


@pytest.mark.parametrize(
    ("given", "compared"),
    [
        (("net", None), ("net@candidate", "net@champion")),
        (("net@v3", None), ("net@v3", "net@champion")),
        (("net", "net@v2"), ("net", "net@v2")),
    ],
)
def test_a_version_is_compared_with_the_champion_unless_told_otherwise(given, compared):
    assert pair(*given) == compared


def test_a_run_alone_cannot_be_compared():
    with pytest.raises(ConvzooError, match="expected a second run or version"):
        pair("0" * 32, None)


def test_a_misspelled_command_gets_a_suggestion():
    result = CliRunner().invoke(app, ["prdict"])
    assert result.exit_code == 2
    assert "No such command 'prdict'. Did you mean 'predict'?" in result.stderr


@pytest.mark.parametrize("command", ["promote", "repeat", "rollback", "sync"])
def test_an_unknown_network_is_named_with_the_known_ones(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(app, [command, "mnist-clasifier"])
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: network 'mnist-clasifier': not in params.yaml, did you mean 'mnist-classifier'? "
        "expected one of: mnist-classifier, "
    )
