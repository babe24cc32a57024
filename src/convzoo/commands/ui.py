"""Open the MLflow UI on this clone's tracking database.

Prints the address to open in your browser. Press Ctrl-C to stop it.
"""

import os
import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from convzoo.errors import ConvzooError
from convzoo.ports import check_address
from convzoo.tracking import store

EXAMPLES = ("convzoo ui", "convzoo ui --port 5005")
APP = "convzoo"  # the entry point of convzoo.tracking.server; an environment of an older convzoo lacks it


def command(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address to listen on; 127.0.0.1 is this machine only.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="The port to listen on; 0 is any free port.")
    ] = 5000,
) -> None:
    """Replace this process with MLflow's server."""
    uri = store.open_store().tracking_uri
    if uri.startswith(("http://", "https://")):
        raise ConvzooError(f"MLFLOW_TRACKING_URI is a server: its UI is at {uri}")
    check_address(host, port)
    artifacts = store.artifact_root(uri)
    arguments = ["-m", "mlflow", "server", "--backend-store-uri", uri, "--default-artifact-root", artifacts]
    arguments += ["--artifacts-destination", artifacts]  # for programs that use this server as their store
    if port:
        print(f"open http://{host}:{port} in your browser; Ctrl-C stops it")
    if entry_points(group="mlflow.app", name=APP):
        arguments += ["--app-name", APP]
    else:
        print("choose Model training at the top left of the page; to start there, run: pip install -e .")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *arguments, "--host", host, "--port", str(port)])
