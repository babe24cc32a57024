"""What Prometheus can read of the server: requests, their times, images, and the versions that answer."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convzoo.serving.bounded import Workers
from convzoo.serving.champions import Champions

if TYPE_CHECKING:
    from convzoo.watching.log import RequestLog

WRITTEN = "written"  # what became of a row of the log; the others are reasons why it was dropped
OPERATIONS = ("predict", "reconstruct", "sample", "encode")
PAGES = ("/", "/demo/", "/report", "/v1/models", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self, champions: Champions, workers: Workers, log: "RequestLog | None" = None) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "convzoo_requests", "Answered requests.", ("network", "operation", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "convzoo_request_seconds",
            "Seconds from the first byte of a request to the last one of its answer.",
            ("network", "operation"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.images = Counter(
            "convzoo_images", "Images in answers.", ("network", "operation", "version"), registry=self.registry
        )
        self.underway = Gauge("convzoo_requests_underway", "Requests that are being answered.", registry=self.registry)
        self.underway.set_function(lambda: workers.requests + workers.abandoned)
        self.registry.register(Versions(champions))
        if log:
            self.registry.register(LoggedRows(log))
        ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """All metrics in Prometheus' format."""
        return generate_latest(self.registry)


class Versions(Collector):
    """Which version of each network answers, and what is wrong."""

    def __init__(self, champions: Champions) -> None:
        self.champions = champions

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        labels = ("network", "version", "sha256", "alias")
        serving = GaugeMetricFamily("convzoo_serving", "1 for the version that answers.", labels=labels)
        for network, served in sorted(self.champions.serving.items()):
            release = served.release
            version = "" if release.version is None else str(release.version)
            serving.add_metric((network, version, served.sha256, release.alias or ""), 1)
        yield serving
        problems = GaugeMetricFamily("convzoo_problems", "Problems that /readyz lists.")
        problems.add_metric((), len(self.champions.problems))
        yield problems


class LoggedRows(Collector):
    """How many rows the log has got, and how many it has not."""

    def __init__(self, log: "RequestLog") -> None:
        self.log = log

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        written = CounterMetricFamily("convzoo_log_rows", "Rows that were written to the log.", labels=("network",))
        dropped = CounterMetricFamily(
            "convzoo_log_dropped_rows", "Rows that are not in the log, by reason.", labels=("network", "reason")
        )
        for (network, outcome), rows in sorted(self.log.counted().items()):
            if outcome == WRITTEN:
                written.add_metric((network,), rows)
            else:
                dropped.add_metric((network, outcome), rows)
        yield written
        yield dropped


class MeasuredRequests:
    """Counts requests and measures their times."""

    def __init__(self, app: ASGIApp, metrics: Metrics, champions: Champions) -> None:
        self.app, self.metrics, self.champions = app, metrics, champions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            labels = self._labels(scope["path"])
            self.metrics.requests.labels(*labels, str(status)).inc()
            self.metrics.seconds.labels(*labels).observe(time.perf_counter() - started)

    def _labels(self, path: str) -> tuple[str, str]:
        """Network and operation; what a client makes up gets no labels of its own."""
        if path in PAGES:
            return "", path
        match path.split("/"):
            case ["", "v1", network, operation] if network in self.champions.serving and operation in OPERATIONS:
                return network, operation
        return "", "other"
