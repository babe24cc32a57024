"""A server on loopback that has published files at their paths, and stands for all of their hosts."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers.bad_server import Handler, serving

STORE = "/store"  # where Hugging Face's addresses of large files lead


class Published(Handler):
    """Answers with the file of a path. The first answer to each path ends in its middle, with the connection."""

    def answer(self, path):
        self.server.asked[path] += 1
        if "/resolve/" in path and not path.startswith(STORE):
            return self.reply(302, b"", {"Location": f"{STORE}{path}?token=short-lived"})
        content = self.server.files.get(path.removeprefix(STORE))
        if content is None:
            return self.reply(404, b"")
        first, total = int((self.headers.get("Range") or "bytes=0-")[6:-1]), len(content)
        last = total // 2 if self.server.asked[path] == 1 else total
        extra = {"Content-Range": f"bytes {first}-{total - 1}/{total}"} if first else {}
        self.reply(206 if first else 200, content[first:last], extra | {"Content-Length": total - first})


@contextmanager
def published_server() -> Iterator[ThreadingHTTPServer]:
    """A server on a free port: its `address`, how often each path was `asked` for, and the `files` by path."""
    with serving(Published) as server:
        server.files = {}
        yield server


def publish(server: ThreadingHTTPServer, source: dict[str, Any], folder: Path) -> None:
    """Let `server` have the files of a source, which lie in `folder`, at their published paths.

    In `source`, a block of params.yaml, only the hosts of the addresses, the sizes and the checksums are replaced.
    """
    for name, file in source["files"].items():
        content, path = (folder / name).read_bytes(), urlsplit(file["url"]).path
        kind = file["checksum"].partition(":")[0]
        server.files[path] = content
        file |= {
            "url": f"{server.address}{path}",
            "checksum": f"{kind}:{hashlib.new(kind, content).hexdigest()}",
            "bytes": len(content),
        }
