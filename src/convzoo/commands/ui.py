"""Open the MLflow UI on this clone's tracking database.

Prints the address to open in your browser. Press Ctrl-C to stop it.
"""

import os
import socket
import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from convzoo.errors import ConvzooError
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
    _check_address(host, port)
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


def _check_address(host: str, port: int) -> None:
    """Raise ConvzooError for an address that no server can listen on: MLflow exits with 0 after its traceback."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be encoded
        reason = getattr(error, "strerror", None) or error
        raise ConvzooError(
            f"{host}:{port}: no server can listen there ({reason}), expected an address of this machine and a free "
            "port; choose others with --host and --port"
        ) from None
