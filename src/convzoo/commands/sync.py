"""Bring MLflow up to date with models/.

Adds the runs, metrics, images and versions that MLflow lacks. Safe to repeat. Then lists orphans: what exists in MLflow
or in models/, but not in both.
"""

import sys
from functools import partial
from typing import Annotated

import typer

from convzoo.settings.load import read_params
from convzoo.settings.whole import check_network_name, network_names

EXAMPLES = ("convzoo sync", "convzoo sync mnist-classifier")


def command(
    networks: Annotated[
        list[str] | None, typer.Argument(metavar="NETWORK", help="Networks in params.yaml. Default: all trained.")
    ] = None,
) -> None:
    """Print a line per network and per orphan, and progress to stderr."""
    from convzoo.tracking.sync import orphans, sync  # imports MLflow, which the help does not need

    params = read_params()
    known = network_names(params)
    for name in networks or []:
        check_network_name(params, name)
    sync(networks or known, partial(print, file=sys.stderr, flush=True), partial(print, flush=True))
    for line in orphans(known):
        print(f"orphan: {line}")
