"""Keeps what is under way within the limits: the requests that are read, and those that are computed."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convzoo.serving.limits import Limits, RefusedError

RETRY_AFTER = 1  # seconds that a client should wait before it asks again
DRAIN = 2  # seconds in which the rest of a refused request is read, so that the client sees the answer

Result = TypeVar("Result")


async def refuse(send: Send, error: RefusedError) -> None:
    """Send the answer to a refused request."""
    body = json.dumps({"error": str(error)}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))} | error.headers
    encoded = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


class Workers:
    """The threads that decode images and run networks, and how many requests are under way."""

    def __init__(self, limits: Limits, threads: int) -> None:
        self.limits, self.threads = limits, threads
        self.requests = 0
        self.abandoned = 0  # computations that took too long, and still run
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="convzoo-worker")

    @property
    def is_full(self) -> bool:
        return self.requests + self.abandoned >= self.limits.requests

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """The result of `function`, run by one of the threads. Raises RefusedError if that takes too long."""
        future = self._pool.submit(function, *arguments)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.limits.seconds)
        except TimeoutError:
            self._abandon(future)
            raise RefusedError(
                503,
                f"the answer takes longer than {self.limits.seconds:g} s, expected less; send fewer images at a time, "
                "or send them again when the server has less to do",
                {"Retry-After": str(RETRY_AFTER)},
            ) from None

    def _abandon(self, future: Future) -> None:
        """Count a computation until it ends: one that runs cannot be stopped."""
        self.abandoned += 1
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._ended))

    def _ended(self) -> None:
        self.abandoned -= 1

    def close(self) -> None:
        """End the threads once they have finished what they run."""
        self._pool.shutdown()


class BoundedRequests:
    """Reads the body of each POST within the limits, and refuses what is beyond them."""

    def __init__(self, app: ASGIApp, workers: Workers) -> None:
        self.app, self.workers, self.limits = app, workers, workers.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with its whole body."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
        elif self.workers.is_full:
            await self._refuse(
                receive,
                send,
                429,
                f"{self.limits.requests} requests are under way, expected fewer; send it again in {RETRY_AFTER} s",
                {"Retry-After": str(RETRY_AFTER)},
            )
        else:
            self.workers.requests += 1
            try:
                await self._pass_on(scope, receive, send)
            finally:
                self.workers.requests -= 1

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        too_large = f"the request has more than {self.limits.body:,} bytes, expected at most that; send fewer images"
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.limits.body:
            await self._refuse(receive, send, 413, too_large)
            return
        try:
            body = await asyncio.wait_for(self._body(receive), self.limits.seconds)
        except TimeoutError:
            message = f"the request took longer than {self.limits.seconds:g} s to arrive, expected less; send it again"
            await refuse(send, RefusedError(408, message, {"Connection": "close"}))
            return
        except OverflowError:
            await self._refuse(receive, send, 413, too_large)
            return
        if body is not None:
            await self.app(scope, _replay(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None if the client is gone. Raises OverflowError if it is too large."""
        parts, size = [], 0
        while (message := await receive())["type"] == "http.request":
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.limits.body:
                raise OverflowError
            if not message.get("more_body"):
                return b"".join(parts)
        return None

    async def _refuse(
        self, receive: Receive, send: Send, status: int, message: str, headers: dict[str, str] | None = None
    ) -> None:
        await refuse(send, RefusedError(status, message, headers))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_drain(receive), DRAIN)


async def _drain(receive: Receive) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Gives a body that was read already, and then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed
