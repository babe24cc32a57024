"""The command `convzoo`.

`convzoo NAME` is the file commands/NAME.py: its docstring is the help, its function `command` has the arguments and
options and does the work. The file is imported when the command is called, so that one command never waits for the
libraries of another, and `convzoo --help` for none.
"""

import ast
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from convzoo.errors import explained, show

COMMANDS = (
    "check",
    "status",
    "repro",
    "profile",
    "predict",
    "reconstruct",
    "sample",
    "models",
    "trace",
    "compare",
    "reproduce",
    "promote",
    "rollback",
    "sync",
    "repeat",
    "structure",
    "ui",
)
# Without rich, whose import takes as long as everything else that the help needs.
PLAIN: dict[str, Any] = {"rich_markup_mode": None, "add_completion": False, "pretty_exceptions_enable": False}


class LazyGroup(TyperGroup):
    """COMMANDS, each imported when it is called. An error that the user can fix is printed; the exit code is 1."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:
        """The command with its options; None if there is no such command."""
        if cmd_name not in self.commands:
            return None
        module = import_module(f"convzoo.commands.{cmd_name}")
        single = typer.Typer(**PLAIN)
        single.command(cmd_name, help=module.__doc__)(module.command)
        command = typer.main.get_command(single)
        command.context_settings = {**command.context_settings, **getattr(module, "CONTEXT", {})}
        return command

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:
        """Write the commands into the help, each with the first line of its own, which needs no import."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(name)) for name in COMMANDS])

    def invoke(self, ctx: typer.Context) -> Any:
        """Run the command."""
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold bytes that are not text
        try:
            return super().invoke(ctx)
        except Exception as error:
            message = explained(error)
            if message is None:
                raise
            show(message)
            raise typer.Exit(1) from None


def _summary(name: str) -> str:
    source = Path(__file__).with_name("commands") / f"{name}.py"
    return ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))).splitlines()[0]


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, **PLAIN)


@app.callback()
def convzoo() -> None:
    """Use, inspect, compare, rebuild and promote the networks of the model zoo."""


if __name__ == "__main__":
    app()
