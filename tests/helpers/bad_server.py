"""A server that answers as badly as the first part of a path says."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

CONTENT = bytes(range(256)) * 400


class Handler(BaseHTTPRequestHandler):
    """Answers as the first part of the path says; the server notes what was asked for."""

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        self.answer(urlsplit(self.path).path)

    def answer(self, path):
        kind = path.split("/")[1]
        self.server.asked[kind] += 1
        getattr(self, kind)(self.server.asked[kind])

    def good(self, _):
        first = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        total = len(CONTENT)
        extra = {"Content-Range": f"bytes {first}-{total - 1}/{total}"} if first else {}
        self.reply(206 if first else 200, CONTENT[first:], extra)

    def no_ranges(self, _):
        self.reply(200, CONTENT)

    def no_length(self, _):
        self.reply(200, CONTENT, {"Content-Length": None})

    def refuses_ranges(self, _):
        self.reply(416, b"") if self.headers.get("Range") else self.reply(200, CONTENT)

    def other_range(self, _):
        extra = {"Content-Range": f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"}
        self.reply(206, CONTENT[5:], extra) if self.headers.get("Range") else self.reply(200, CONTENT)

    def cut(self, _):
        """A fifth of the file at a time, though the header promises all that is left."""
        first = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        total = len(CONTENT)
        extra = {"Content-Length": total - first, "Content-Range": f"bytes {first}-{total - 1}/{total}"}
        self.reply(206 if first else 200, CONTENT[first : first + total // 5 + 1], extra)

    def always_cut(self, _):
        self.reply(200, CONTENT[:1000], {"Content-Length": len(CONTENT)})

    def stalls(self, times):
        """The first answer stops in the middle."""
        if times == 1:
            self.reply(200, CONTENT[:2000], {"Content-Length": len(CONTENT)})
            time.sleep(0.3)
        else:
            self.good(times)

    def busy_twice(self, times):
        self.reply(500 + 3 * (times == 2), b"busy") if times < 3 else self.reply(200, CONTENT)

    def broken(self, _):
        self.reply(500, b"broken")

    def busy_or_cut(self, times):
        self.always_cut(times) if times % 2 == 0 else self.reply(503, b"busy")

    def long_wait(self, _):
        """Asks to wait as long as the rest of the path says."""
        self.reply(503, b"busy", {"Retry-After": self.path.split("/")[2]})

    def long_explanation(self, times):
        """The first answer is an error with 100 MB of explanation."""
        if times > 1:
            return self.good(times)
        self.reply(503, b"", {"Content-Length": None})
        with suppress(ConnectionError):
            for _ in range(1000):
                self.wfile.write(CONTENT)
            self.server.asked["explanation read"] += 1

    def circles(self, _):
        self.reply(302, b"", {"Location": "/circles"})

    def silent(self, _):
        self.reply(200, b"", {"Content-Length": len(CONTENT)})
        time.sleep(0.3)

    def breaks(self, times):
        """The first answer ends where the rest of the path says, with the connection."""
        if times == 1:
            self.reply(200, CONTENT[: int(self.path.split("/")[2])], {"Content-Length": len(CONTENT)})
        else:
            self.good(times)

    def absent(self, _):
        self.reply(404, b"")

    def forbidden(self, _):
        self.reply(403, b"")

    def html(self, _):
        self.reply(200, b"<html>please log in</html>", {"Content-Type": "text/html; charset=utf-8"})

    def long(self, _):
        self.reply(200, CONTENT + b"x")

    def endless(self, _):
        self.reply(200, CONTENT + b"x", {"Content-Length": None})

    def wrong(self, _):
        self.reply(200, CONTENT[::-1])

    def encoded(self, _):
        self.reply(200, CONTENT, {"Content-Encoding": "gzip"})

    def reply(self, status, body, extra=()):
        self.send_response(status)
        for key, value in {"Content-Length": len(body), **dict(extra)}.items():
            if value is not None:
                self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """A server on a free port: its `address`, how often each kind was `asked`, and the `ranges` asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked, server.ranges = Counter(), []
        server.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def bad_server() -> AbstractContextManager[ThreadingHTTPServer]:
    """A server that answers as `Handler` does."""
    return serving(Handler)
