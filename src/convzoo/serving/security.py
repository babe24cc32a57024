"""Who may ask: a token where others can reach the server, and only hosts that the server is known by."""

import base64
import hmac
import ipaddress
import os
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from convzoo.errors import ConvzooError
from convzoo.serving.bounded import refuse
from convzoo.serving.limits import RefusedError

TOKEN = "CONVZOO_TOKEN"  # the environment variable; an argument would be shown by ps
SHORTEST = 16  # characters of a token
OPEN = ("/healthz", "/readyz")  # need no token, since whatever restarts a server has none


def token_for(host: str) -> str | None:
    """The token that requests must have; None if only this machine can reach the server and none is set.

    Raises ConvzooError if one is needed and missing, or too short.
    """
    token = os.environ.get(TOKEN, "").strip()
    if token and (len(token) < SHORTEST or not token.isascii()):
        raise ConvzooError(
            f"{TOKEN}: has {len(token)} characters, expected at least {SHORTEST} of ASCII; make one: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if not token and not is_loopback(host):
        raise ConvzooError(
            f"--host {host}: other machines could ask, expected a token for that in {TOKEN}; set one that clients send "
            "as `Authorization: Bearer TOKEN`, or use --host 127.0.0.1"
        )
    return token or None


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(ipaddress.ip_address(entry[4][0].partition("%")[0]).is_loopback for entry in found)


def has_token(scope: Scope, token: str | None) -> bool:
    """Whether a request has the token, or none is needed."""
    return token is None or hmac.compare_digest(
        _given_token(dict(scope["headers"]).get(b"authorization", b"")), token.encode()
    )


class Guard:
    """Refuses requests for another host, from pages of another site, and without the token."""

    def __init__(self, app: ASGIApp, token: str | None, hosts: Sequence[str]) -> None:
        self.app, self.hosts = app, {"localhost", *(host.lower() for host in hosts)}
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 401 or 403."""
        if scope["type"] == "http" and (error := self.problem(scope)):
            await refuse(send, error)
        else:
            await self.app(scope, receive, send)

    def problem(self, scope: Scope) -> RefusedError | None:
        """Why a request is refused; None if it is not."""
        headers = dict(scope["headers"])
        host = _name(headers.get(b"host", b"").decode("latin-1"))
        if not self._is_known(host):
            # A page that makes its own name point to this server would otherwise be of the same origin.
            shown = f"'{host}'" if host else "none"
            return RefusedError(
                403,
                f"the Host header names {shown}, expected an IP address, localhost or a name that the server was "
                "started with; start it with --allow-host NAME",
            )
        if b"origin" in headers:
            origin = urlsplit(headers[b"origin"].decode("latin-1")).netloc
            if origin.lower() != headers[b"host"].decode("latin-1").lower():
                return RefusedError(403, "the request comes from a page of another site, expected one of this server")
        if scope["path"] in OPEN or has_token(scope, self.token):
            return None
        return RefusedError(
            401,
            "the request has no token or a wrong one, expected `Authorization: Bearer TOKEN` with that of the server, "
            "or the token as password",
            {"WWW-Authenticate": 'Basic realm="convzoo", Bearer'},
        )

    def _is_known(self, host: str) -> bool:
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return host in self.hosts
        return True


def _given_token(header: bytes) -> bytes:
    """The token in an Authorization header: a bearer's, or the password that a browser asks its user for."""
    kind, _, given = header.partition(b" ")
    if kind.lower() == b"bearer":
        return given.strip()
    if kind.lower() == b"basic":
        try:
            return base64.b64decode(given.strip(), validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""


def _name(host: str) -> str:
    """A Host header without its port."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).lower().rstrip(".")
