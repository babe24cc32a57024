"""Bring MLflow up to date with models/.

Adds the runs, metrics, images and versions that MLflow lacks. Safe to repeat. Then lists orphans: what exists in MLflow
or in models/, but not in both.
"""

from typing import Annotated

import typer

from convzoo.settings.load import read_params
from convzoo.settings.whole import check_network_name, network_names
from convzoo.tracking.sync import orphans, sync

EXAMPLES = ("convzoo sync", "convzoo sync mnist-classifier")


def command(
    networks: Annotated[
        list[str] | None, typer.Argument(metavar="NETWORK", help="Networks in params.yaml. Default: all trained.")
    ] = None,
) -> None:
    """Print a line per network and per orphan."""
    params = read_params()
    known = network_names(params)
    for name in networks or []:
        check_network_name(params, name)
    for line in sync(networks or known):
        print(line)
    for line in orphans(known):
        print(f"orphan: {line}")
