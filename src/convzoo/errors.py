"""Errors that a user can cause and mend, and how an entry shows them."""

import sys
from collections.abc import Callable


class ConvzooError(Exception):
    """Something that the user can mend; its text says what it is about, what was expected and what to do."""


class SettingsError(ConvzooError):
    """One line for each thing that is wrong with params.yaml."""


def show(error: ConvzooError) -> None:
    """Print each line of an error to stderr."""
    for line in str(error).splitlines():
        print(f"error: {line}", file=sys.stderr)


def main(function: Callable[..., object]) -> None:
    """Run `function` with the command line's arguments; a mendable error is printed as one, with exit code 1."""
    try:
        function(*sys.argv[1:])
    except ConvzooError as error:
        show(error)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
