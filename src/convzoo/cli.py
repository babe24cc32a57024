"""The command `convzoo`.

`convzoo NAME` is the file commands/NAME.py (`add-data` is add_data.py): its docstring is the help, EXAMPLES are shown
below it, and its function `command` has the arguments and options and does the work. The file is imported when the
command is called, so that no command waits for the libraries of another.
"""

import ast
import functools
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from convzoo.errors import explained, show
from convzoo.project import in_project

COMMANDS = (
    "check",
    "status",
    "doctor",
    "repro",
    "profile",
    "schema",
    "add-data",
    "predict",
    "reconstruct",
    "sample",
    "models",
    "trace",
    "compare",
    "reproduce",
    "bits",
    "promote",
    "rollback",
    "verify",
    "serve",
    "demo",
    "shadow",
    "drift",
    "sync",
    "prune",
    "repeat",
    "sweep",
    "results",
    "structure",
    "ui",
)
# These run in the user's folder. All others run in the project's, since the paths of its files are relative to it.
IN_USERS_FOLDER = (
    "bits",
    "doctor",
    "predict",
    "reconstruct",
    "sample",
    "serve",
    "demo",
    "shadow",
    "structure",
    "verify",
)
# Without rich, whose import takes as long as everything else that the help needs.
PLAIN: dict[str, Any] = {
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
# What typer writes into the help: the type of an argument, as in `PATH <list[Path]>`, and the range of a number.
TYPE = re.compile(r" <.*>$")
RANGE = re.compile(r"(?:(\d+)<=)?x(?:>=(\d+)|<=(\d+))")


class Command(TyperCommand):
    """A command whose help names its arguments as a user would, and ends with examples."""

    examples: tuple[str, ...]

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:
        """The words after the command's name in the usage line."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:
        """Write the arguments and options into the help."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                name, text = record
                if parameter.param_type_name == "argument":
                    name = TYPE.sub("", name)
                rows[parameter.param_type_name].append((name, RANGE.sub(_range, text)))
        for kind, records in rows.items():
            if records:
                with formatter.section(f"{kind.title()}s"):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: typer.Context, formatter: Any) -> None:
        """Write the examples into the help."""
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class LazyGroup(TyperGroup):
    """COMMANDS, each imported when it is called. An error that the user can fix is printed; the exit code is 1."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:
        """The command with its options; None if there is no such command."""
        if cmd_name not in self.commands:
            return None
        module = import_module(f"convzoo.commands.{_file(cmd_name)}")
        single = typer.Typer(add_completion=False, **PLAIN)
        context = PLAIN["context_settings"] | getattr(module, "CONTEXT", {})
        function = _function(cmd_name, module)
        single.command(cmd_name, cls=Command, help=module.__doc__, context_settings=context)(function)
        command = typer.main.get_command(single)
        command.examples = module.EXAMPLES
        return command

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:
        """Write the commands into the help, each with the first line of its own, which needs no import."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(name)) for name in COMMANDS])

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:
        """The commands that start with `incomplete`, which needs no import either, or the options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        return [SimpleNamespace(type="plain", value=name, help=_summary(name)) for name in names]

    def invoke(self, ctx: typer.Context) -> Any:
        """Run the command."""
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold bytes that are not text
        try:
            return super().invoke(ctx)
        except Exception as error:
            message = explained(error) or _missing_package(error)
            if message is None:
                raise
            show(message)
            raise typer.Exit(1) from None


def _missing_package(error: Exception) -> str | None:
    """What to do if a package is missing, as in a light installation; None for another error."""
    if not isinstance(error, ModuleNotFoundError) or (error.name or "convzoo").partition(".")[0] == "convzoo":
        return None
    return (
        f"{error.name}: is not installed, expected the full installation for this command (a light one serves and "
        "predicts); run make setup in the clone, and activate .venv"
    )


def _file(name: str) -> str:
    return name.replace("-", "_")


def _range(match: re.Match[str]) -> str:
    low, alone, high = match.groups()
    return f"{low} to {high}" if low else f"at least {alone}" if alone else f"at most {high}"


def _summary(name: str) -> str:
    source = Path(__file__).with_name("commands") / f"{_file(name)}.py"
    return ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))).splitlines()[0]


def _function(name: str, module: ModuleType) -> Callable[..., None]:
    """What a command runs: in the project's folder, with the user's paths made absolute, unless it is left as it is."""
    if name in IN_USERS_FOLDER:
        return module.command

    @functools.wraps(module.command)
    def run(**arguments: Any) -> None:
        here = Path.cwd()
        with in_project() as folder:
            for key, value in arguments.items():
                if isinstance(value, Path) and folder != here:
                    arguments[key] = here / value
            module.command(**arguments)

    return run


app = typer.Typer(name="convzoo", cls=LazyGroup, no_args_is_help=True, **PLAIN)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # its import takes as long as typer's

        print(f"convzoo {version('convzoo')}")
        raise typer.Exit


@app.callback()
def convzoo(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Use, inspect, compare, rebuild and promote the networks of the model zoo."""


def main() -> None:
    """Run the command line under the name that the user knows, however it was started."""
    app(prog_name="convzoo")


if __name__ == "__main__":
    main()
