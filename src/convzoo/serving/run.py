"""Starts the server, and runs it until it is told to end."""

import logging.config
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from convzoo.errors import ConvzooError
from convzoo.ports import check_address
from convzoo.serving.app import Service, create_app
from convzoo.serving.champions import Champions
from convzoo.serving.limits import Limits
from convzoo.serving.security import token_for
from convzoo.serving.shadow import Shadow
from convzoo.serving.sources import Folder, Registry

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
    models: Path | None,
    shadow: tuple[str, float] | None,
    hosts: Sequence[str],
    limits: Limits,
) -> None:
    """Serve `networks`, or all, at `address` until SIGTERM or Ctrl-C; then refuse what comes, and finish what runs.

    `models` is a folder instead of the registry, `shadow` an alias and the share of the requests to compare. Raises
    ConvzooError if nothing can be served, or not there.
    """
    host, port = address
    token = token_for(host)
    check_address(host, port)
    if shadow and models:
        raise ConvzooError("--shadow: a folder has no aliases, expected registered versions; leave out --models")
    logging.config.dictConfig(LOGGING)
    champions = Champions(Folder(models) if models else Registry(), networks, shadow[0] if shadow else None)
    champions.start()
    service = Service(champions, limits, Shadow(shadow[1]) if shadow else None, token, (host, *hosts))
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
        )
    ).run()


class Server(uvicorn.Server):
    """A server that prints its address once it listens there."""

    async def startup(self, sockets: list | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        for server in self.servers:
            host, port = server.sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"serving http://{shown}:{port}; its API: http://{shown}:{port}/docs; Ctrl-C stops it", flush=True)
