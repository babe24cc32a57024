"""Answer requests over HTTP with the champions.

Serves the champion of each network, or the candidate if it has none, and takes a new champion within seconds. Only this
machine can ask, unless --host names another address; that needs a token in CONVZOO_TOKEN. Ctrl-C stops it.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from convzoo.commands.shared import NETWORK_AT_ALIAS
from convzoo.errors import ConvzooError
from convzoo.project import find_project, in_project
from convzoo.serving.limits import MIB, ImageBounds, Limits, LogOptions

PORT = 8000
MLFLOW = "http://127.0.0.1:5000"  # where convzoo ui listens

EXAMPLES = (
    "convzoo serve",
    "convzoo serve mnist-classifier cifar10-classifier@v3 --port 8080",
    "convzoo serve --shadow candidate",
    "convzoo serve --models exported/ --signed-by key.pub",
    "convzoo serve --log logs",
)

Networks = Annotated[
    list[str] | None,
    typer.Argument(
        help="Networks, or versions of them. Default: every network with a champion or candidate.", **NETWORK_AT_ALIAS
    ),
]
Port = Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="The port to listen on; 0 is any free port.")]
Models = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Serve the files DIR/NETWORK/model.onnx instead of registered versions."),
]
Mlflow = Annotated[
    str, typer.Option(metavar="URL", help="The address of MLflow's UI; the demo links to it if it answers.")
]


# Options that change nothing without another one, and how to add that.
DEPENDENT = {
    "shadow_share": ("shadow", "--shadow ALIAS"),
    "log_days": ("log", "--log DIR"),
    "log_images": ("log", "--log DIR"),
    "log_images_size": ("log_images", "--log-images"),
    "log_images_days": ("log_images", "--log-images"),
}


def command(
    context: typer.Context,
    networks: Networks = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address to listen on; 127.0.0.1 is this machine only.")
    ] = "127.0.0.1",
    port: Port = PORT,
    models: Models = None,
    shadow: Annotated[
        str | None,
        typer.Option(metavar="ALIAS", help="Compare the answers of the versions with this alias in the background."),
    ] = None,
    shadow_share: Annotated[
        float, typer.Option(min=0, max=1, metavar="X", help="The share of the requests that is compared.")
    ] = 0.1,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A host name that the server is known by.")
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, metavar="BYTES", help="The largest request.")] = Limits.body,
    max_images: Annotated[
        int, typer.Option(min=1, metavar="N", help="The most images in a request or an answer.")
    ] = Limits.images,
    max_pixels: Annotated[int, typer.Option(min=1, metavar="N", help="The most pixels of a file.")] = Limits.pixels,
    max_requests: Annotated[int, typer.Option(min=1, metavar="N", help="The most requests at once.")] = Limits.requests,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long a request or its answer may take.")
    ] = Limits.seconds,
    mlflow: Mlflow = MLFLOW,
    signed_by: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Serve only files that the owner of this public key signed."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Log requests and answers, without the images, for convzoo drift."),
    ] = None,
    log_days: Annotated[float, typer.Option(min=0, metavar="N", help="Days to keep the log.")] = LogOptions.days,
    log_images: Annotated[bool, typer.Option("--log-images", help="Also keep the images.")] = False,
    log_images_size: Annotated[
        int, typer.Option(min=0, metavar="MIB", help="The most disk space for logged images, in MiB.")
    ] = ImageBounds.bytes // MIB,
    log_images_days: Annotated[
        float, typer.Option(min=0, metavar="N", help="Days to keep logged images.")
    ] = ImageBounds.days,
) -> None:
    """Load the networks, print the address, and serve until the end."""
    for name, (needed, addition) in DEPENDENT.items():
        if not _is_default(context, name) and not context.params[needed]:
            option, other = (f"--{key.replace('_', '-')}" for key in (name, needed))
            raise ConvzooError(f"{option}: changes nothing without {other}, expected both; add: {addition}")
    limits = Limits(max_body, max_images, max_pixels, max_requests, timeout)
    compared = (shadow, shadow_share) if shadow else None
    hosts = allow_host or ()
    kept = ImageBounds(log_images_size * MIB, log_images_days) if log_images else None
    logged = LogOptions(log.absolute(), log_days, kept) if log else None
    key = signed_by.absolute() if signed_by else None
    options = {"shadow": compared, "hosts": hosts, "limits": limits, "mlflow": mlflow}
    serve(networks or [], (host, port), models, signed_by=key, log=logged, **options)


def _is_default(context: typer.Context, name: str) -> bool:
    return context.get_parameter_source(name).name.startswith("DEFAULT")


def serve(networks: Sequence[str], address: tuple[str, int], models: Path | None, **options: Any) -> None:
    """Serve the networks of the project that the user is in, or of the folder `models`.

    `options` are those of `convzoo.serving.run.run`.
    """
    from convzoo.repro.summary import REPORT  # imports NumPy, and the next one FastAPI: the help should not wait
    from convzoo.serving.run import run

    folder = models.absolute() if models else None
    if folder is None and find_project() is None:
        raise ConvzooError(
            f"{Path.cwd()}: is not in a convzoo project, expected the folder of your clone or one below it; run this "
            "from there, or name a folder of networks: --models DIR"
        )
    with in_project() if folder is None else contextlib.nullcontext():
        report = None if folder else REPORT.absolute()
        run(networks, address, models=folder, report=report, **options)
