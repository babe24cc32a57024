"""Addresses that servers of this machine listen on."""

import socket

from convzoo.errors import ConvzooError


def check_address(host: str, port: int) -> None:
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
