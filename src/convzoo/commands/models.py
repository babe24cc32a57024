"""List the registered versions with their aliases and main metric."""

from typing import Annotated

import typer

from convzoo.commands.shared import Json, print_result
from convzoo.tracking.listing import as_text, listing

EXAMPLES = ("convzoo models", "convzoo models mnist-classifier --json")


def command(
    network: Annotated[
        str | None, typer.Argument(metavar="NETWORK", help="A registered network. Default: all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a row per version."""
    print_result(listing(network), as_text, as_json)
