"""Starts the server, and runs it until SIGTERM or Ctrl-C."""

import logging.config
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from convzoo.errors import ConvzooError
from convzoo.ports import check_address
from convzoo.serving.app import Service, create_app
from convzoo.serving.champions import Champions
from convzoo.serving.demo_page import DEMO
from convzoo.serving.limits import Limits, LogOptions
from convzoo.serving.security import token_for
from convzoo.serving.shadow import Shadow
from convzoo.serving.signed import Signed
from convzoo.serving.sources import Folder, Registry

if TYPE_CHECKING:
    from convzoo.watching.log import RequestLog

GRACE = 5  # seconds for the answers under way, beyond the longest that one may take
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
    "loggers": {
        "convzoo.serve": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


def run(
    networks: Sequence[str],
    address: tuple[str, int],
    *,
    models: Path | None = None,
    shadow: tuple[str, float] | None = None,
    hosts: Sequence[str] = (),
    limits: Limits | None = None,
    report: Path | None = None,
    mlflow: str | None = None,
    signed_by: Path | None = None,
    log: LogOptions | None = None,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve `networks`, or all, at `address` until SIGTERM or Ctrl-C; then refuse what comes, and finish what runs.

    `models` is a folder instead of the registry, `signed_by` a public key without whose signature no file is served,
    `shadow` an alias and the share of the requests to compare. Answers are logged as `log` says. The demo links to the
    file `report` and to MLflow's UI at `mlflow`; `on_start` gets its address once the server listens.
    Raises ConvzooError if nothing can be served, or not there.
    """
    limits = limits or Limits()
    host, port = address
    token = token_for(host)
    check_address(host, port)
    if shadow and models:
        raise ConvzooError("--shadow: a folder has no aliases, expected registered versions; leave out --models")
    logging.config.dictConfig(LOGGING)
    source, alias = Folder(models) if models else Registry(), shadow[0] if shadow else None
    source = Signed(source, signed_by) if signed_by else source
    champions = Champions(source, networks, alias, logged=log is not None)
    champions.start()
    answered = _open_log(log) if log else None
    compared = Shadow(shadow[1]) if shadow else None
    service = Service(champions, limits, compared, token, (host, *hosts), report, mlflow, answered)
    # uvicorn handles it while it serves, and raises it again at the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server(
        uvicorn.Config(
            create_app(service),
            host,
            port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(limits.seconds + GRACE),
        ),
        on_start,
    ).run()


def _open_log(log: LogOptions) -> "RequestLog":
    try:
        from convzoo.watching.log import RequestLog
    except ImportError as error:
        raise ConvzooError(
            f"--log: cannot be written without pyarrow ({error}), expected an installation with it; run: "
            "pip install --group serve-log"
        ) from None
    return RequestLog(log)


class Server(uvicorn.Server):
    """A server that prints its address once it listens there, and hands that of its demo to `on_start`."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[str], None] | None = None) -> None:
        super().__init__(config)
        self.on_start = on_start

    async def startup(self, sockets: list | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        for server in self.servers:
            host, port = server.sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            address = f"http://{shown}:{port}"
            print(f"serving {address}; try it: {address}{DEMO}; its API: {address}/docs; Ctrl-C stops it", flush=True)
            if self.on_start:
                self.on_start(f"{address}{DEMO}")
