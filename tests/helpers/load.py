"""A small client that asks as fast as a server answers, over connections that stay open."""

import asyncio
import time
from typing import NamedTuple
from urllib.parse import urlsplit


class Asked(NamedTuple):
    """One request."""

    ended: float  # on the monotonic clock
    seconds: float
    status: int  # 0: the connection failed
    images: int
    body: bytes


class Client:
    """Asks one address with one body, again and again."""

    def __init__(self, address: str, body: bytes, images: int, keep_bodies: bool = False) -> None:
        parts = urlsplit(address)
        self.host, self.port, self.images, self.keep = parts.hostname, parts.port, images, keep_bodies
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        self.request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self.asked: list[Asked] = []

    async def run(self, ended: asyncio.Event) -> None:
        """Ask until `ended` is set."""
        reader = writer = None
        while not ended.is_set():
            started = time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(self.host, self.port)
                status, body, stays = await self._ask(reader, writer)
            except (OSError, asyncio.IncompleteReadError) as error:
                status, body, stays = 0, repr(error).encode(), False
            now = time.monotonic()
            kept = body if self.keep or status != 200 else b""
            self.asked.append(Asked(now, now - started, status, self.images if status == 200 else 0, kept))
            if not stays and writer is not None:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bytes, bool]:
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(int(line[16:]) for line in head.split("\r\n") if line.startswith("content-length: "))
        return int(head.split()[1]), await reader.readexactly(length), "connection: close" not in head


def quantile(seconds: list[float], share: float) -> float:
    """The value below which a share of the others lies."""
    return sorted(seconds)[min(int(share * len(seconds)), len(seconds) - 1)]


def summary(asked: list[Asked]) -> str:
    """Requests and images a second, the median and the 99th percentile of the times."""
    seconds = [one.seconds for one in asked]
    span = max(one.ended for one in asked) - min(one.ended - one.seconds for one in asked)
    rates = f"{len(asked) / span:8.0f} requests/s {sum(one.images for one in asked) / span:9.0f} images/s"
    return f"{rates}   p50 {1000 * quantile(seconds, 0.5):7.1f} ms   p99 {1000 * quantile(seconds, 0.99):7.1f} ms"
