"""Open the MLflow UI on this clone's tracking database."""

import os
import sys
from typing import Annotated

import typer

from convzoo.errors import ConvzooError
from convzoo.files import project_root
from convzoo.tracking import store


def command(
    host: Annotated[str, typer.Option(help="127.0.0.1 is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 to 65535.")] = 5000,
) -> None:
    """Replace this process with MLflow's server."""
    uri = store.open_store().tracking_uri
    if uri.startswith(("http://", "https://")):
        raise ConvzooError(f"MLFLOW_TRACKING_URI is a server: its UI is at {uri}")
    artifacts = str(project_root() / "mlruns" / "artifacts")
    arguments = ["-m", "mlflow", "server", "--backend-store-uri", uri, "--default-artifact-root", artifacts]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *arguments, "--host", host, "--port", str(port)])
