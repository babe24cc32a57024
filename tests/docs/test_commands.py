"""Every command in README.md, CONTRIBUTING.md and docs/ exists with its options; those of README.md's sessions run."""

import re
import shlex
import subprocess
from importlib.util import find_spec

import pytest
import typer
from dvc.cli import DvcParserError, parse_args
from helpers.markdown import PAGES, commands, inline_commands
from helpers.project import ROOT, dvc
from mlflow.cli import cli as mlflow
from ruamel.yaml import YAML
from torch.distributed.run import get_args_parser
from typer.testing import CliRunner

from convzoo.cli import COMMANDS, app
from convzoo.settings.load import read_params

ALL = [command for page in PAGES for command in commands(page)]
CONVZOO = typer.main.get_command(app)
STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
OWN = "pets"  # the data set that the pages add
SHELL = ("cd", ".", "export", "curl", "sed", "column", "openssl")  # checked by hand
NOT_RUN = {"compare", "--dry-run", "add-data", "repro"}
LOCAL = re.compile(r"[a-z]+\[|\.\[")  # extras of this package, in the arguments of pip


def check_convzoo(words: list[str]) -> None:
    check_click(CONVZOO, words)


def check_click(group, words: list[str]) -> None:
    """Parse a command line of click's without running it."""
    context, command = typer.Context(group), group
    while hasattr(command, "get_command") and words != ["--help"]:
        command, name, words = command.get_command(context, words[0]), words[0], words[1:]
        assert command, f"there is no command {name}"
    if "--help" not in words:
        command.make_context(name, list(words))


def check_dvc(words: list[str]) -> None:
    try:
        arguments = parse_args(words)
    except DvcParserError as error:
        raise AssertionError(f"dvc does not take {words}") from error
    params = read_params(ROOT / "params.yaml").values
    for target in getattr(arguments, "targets", None) or []:
        if "@" in target or target in STAGES:
            stage, _, item = target.partition("@")
            assert stage in STAGES, target
            names = [*params["data"], *params["networks"], *params["weights"], OWN, f"{OWN}-classifier", "NETWORK"]
            assert not item or item in names, target


def check_make(words: list[str]) -> None:
    rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    variables = re.findall(r"\$\(?(?:or \$\()?([A-Z_]+)\)", (ROOT / "Makefile").read_text())
    for word in words:
        name, is_variable, _ = word.partition("=")
        assert name in (variables if is_variable else rules), f"the Makefile has no {name}"


def check_python(words: list[str]) -> None:
    if words[0] == "-c":
        compile(words[1], "a page", "exec")
    elif words[0] != "-m":
        assert (ROOT / words[0]).is_file()
    elif words[1] == "dvc":
        check_dvc(words[2:])
    elif words[1] in ("convzoo", "convzoo.cli"):
        check_convzoo(words[2:])
    elif words[1] == "mlflow":
        check_click(mlflow, words[2:])
    elif words[1] == "pytest":
        assert all((ROOT / word).exists() for word in words[2:] if "/" in word)
    else:
        assert find_spec(words[1]), words[1]


def check_pip(words: list[str]) -> None:
    assert words[0] == "install"
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    for word in words[1:]:
        if LOCAL.match(word):
            assert word[2:-1] in extras, word
        elif word.endswith(".txt"):
            assert (ROOT / word).is_file(), word


def check_git(words: list[str]) -> None:
    known = subprocess.run(["git", "--list-cmds=main"], capture_output=True, text=True, check=True).stdout.split()
    assert words[0] in known


def check_torchrun(words: list[str]) -> None:
    options = get_args_parser().parse_args(words)
    assert (ROOT / options.training_script).is_file()
    assert {*options.training_script_args} <= read_params(ROOT / "params.yaml").values["networks"].keys()


CHECKS = {
    "convzoo": check_convzoo,
    "dvc": check_dvc,
    "git": check_git,
    "make": check_make,
    "pip": check_pip,
    "python": check_python,
    "torchrun": check_torchrun,
}


@pytest.mark.parametrize("command", ALL, ids=str)
def test_every_command_exists_with_its_options(command):
    program, *words = command.words
    assert program in CHECKS or program in SHELL, "a new kind of command: add a check of it here"
    if program in CHECKS:
        CHECKS[program](words)


def test_every_command_in_prose_and_tables_exists():
    for page in PAGES:
        for program, *words in map(list, inline_commands(page)):
            if program == "make":
                check_make(words)
            else:
                assert words[0] in (*COMMANDS, "COMMAND", "--help"), f"{page.name}: convzoo {words[0]}"


@pytest.mark.parametrize(
    "words",
    ["convzoo predit x y", "convzoo predict --no-such x y", "python -m dvc repro --no-such", "make nothing",
     "torchrun no/such.py mnist-classifier", "torchrun pipeline/train.py nothing",
     "python -m dvc repro no@mnist", "python no/such.py", "pip install -e .[nothing]", "git clown"],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_noticed(words):
    program, *words = shlex.split(words)
    with pytest.raises((AssertionError, typer.BadParameter.__mro__[1])):
        CHECKS[program](words)


def shape(line: str) -> str:
    """A line of output without its numbers and the width of its columns, which differ between profiles."""
    return " ".join(re.sub(r"\d[\d.,]*%?", "#", line).split())


def test_the_sessions_of_the_readme_print_what_it_shows(clone, monkeypatch):
    """All commands of convzoo but those that need a second version, in their order; add-data has its own test."""
    monkeypatch.chdir(clone)
    for name in ("DVC_ROOT", "CONVZOO_TRACKING", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    ran = []
    for command in commands(ROOT / "README.md"):
        if command.words[0] == "convzoo" and command.output and not NOT_RUN & {*command.words}:
            result = CliRunner().invoke(app, command.words[1:])
            assert result.exit_code == 0, result.output
            printed = [shape(line) for line in result.output.splitlines()]
            missing = [line for line in command.output if line not in ("", "...") and shape(line) not in printed]
            assert missing == [], result.output
            ran.append(command.words[1])
    assert ran == ["sample", "predict", "promote"]


def test_the_results_of_the_readme_have_the_form_of_the_command(rebuilt):
    """The same networks and metrics, and a value in the same cells."""
    shown = [shape(line) for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| models/")]
    [header] = re.findall(r"^\| Path .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    printed = dvc(rebuilt.folder, "metrics", "show", "--md").splitlines()
    assert [shape(header), *shown] == [shape(line) for line in printed if line.startswith(("| Path", "| models"))]
