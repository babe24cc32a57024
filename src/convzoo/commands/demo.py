"""Try the networks in your browser.

Serves the champions as `convzoo serve` does, to this machine only, and opens a page on which you draw, classify,
generate and reconstruct. Ctrl-C stops it.
"""

import threading
import webbrowser
from typing import Annotated

import typer

from convzoo.commands.serve import MLFLOW, PORT, Mlflow, Models, Networks, Port, serve
from convzoo.ports import check_address

EXAMPLES = ("convzoo demo", "convzoo demo mnist-classifier mnist-dcgan --port 8080", "convzoo demo --no-browser")
HOST = "127.0.0.1"


def command(
    networks: Networks = None,
    port: Port = PORT,
    models: Models = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    mlflow: Mlflow = MLFLOW,
) -> None:
    """Serve until the end, and open the page as soon as it can be."""
    check_address(HOST, port, "stop what listens there, or choose another port with --port")
    serve(networks or [], (HOST, port), models, mlflow=mlflow, on_start=open_page if browser else None)


def open_page(address: str) -> None:
    """Open the browser, which may take as long as it likes."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
