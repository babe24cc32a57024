"""The size, number and time of requests are bounded; the threads are those that a container may use."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from convzoo.serving.bounded import BoundedRequests, Workers
from convzoo.serving.limits import Limits, RefusedError, allowed_cpus

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}


class Exchange:
    """One request to BoundedRequests: `parts` of its body arrive, after which nothing comes."""

    def __init__(self, *parts: bytes, length: bytes | None = None, ends: bool = True) -> None:
        self.parts, self.sent, self.body, self.ends = [*parts], [], None, ends
        self.scope = SCOPE | {"headers": [(b"content-length", length)] if length else []}

    async def receive(self) -> dict:
        if not self.parts:
            await asyncio.sleep(3600)
        body = self.parts.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self.parts) or not self.ends}

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    async def app(self, scope: dict, receive, send) -> None:
        self.body = (await receive())["body"]

    def through(self, workers: Workers) -> int | None:
        """Its status; None if it was passed on."""
        asyncio.run(BoundedRequests(self.app, workers)(self.scope, self.receive, self.send))
        return self.sent[0]["status"] if self.sent else None

    @property
    def error(self) -> str:
        return self.sent[1]["body"].decode()


@pytest.fixture
def workers():
    made = Workers(Limits(body=10, requests=2, seconds=0.2), 2)
    yield made
    made.close()


def test_a_request_within_the_limits_is_passed_on_whole(workers):
    exchange = Exchange(b"01234", b"56789", length=b"10")
    assert exchange.through(workers) is None
    assert exchange.body == b"0123456789" and workers.requests == 0


@pytest.mark.parametrize(("parts", "length"), [((b"x",), b"11"), ((b"01234", b"567890"), None), ((b"x",), b"many")])
def test_a_request_that_is_too_large_is_refused(workers, parts, length):
    exchange = Exchange(*parts, length=length)
    assert exchange.through(workers) == 413
    assert "more than 10 bytes, expected at most that" in exchange.error
    assert exchange.body is None and workers.requests == 0


def test_the_rest_of_a_refused_request_is_read_so_that_the_client_sees_the_answer(workers):
    exchange = Exchange(b"0123456789", b"0123456789", b"0123456789", length=b"30")
    assert exchange.through(workers) == 413
    assert exchange.parts == []


def test_a_request_that_does_not_arrive_is_refused(workers):
    exchange = Exchange(b"01234", ends=False)
    assert exchange.through(workers) == 408
    assert "took longer than 0.2 s to arrive" in exchange.error and workers.requests == 0


def test_a_client_that_left_gets_no_answer(workers):
    async def gone() -> dict:
        return {"type": "http.disconnect"}

    exchange = Exchange()
    exchange.receive = gone
    assert exchange.through(workers) is None and exchange.body is None and workers.requests == 0


def test_more_requests_at_once_than_allowed_get_429_and_when_to_retry(workers):
    workers.requests = 2
    exchange = Exchange(b"x")
    assert exchange.through(workers) == 429
    assert (b"retry-after", b"1") in exchange.sent[0]["headers"]
    assert "2 requests are under way, expected fewer; send it again in 1 s" in exchange.error
    assert workers.requests == 2


def test_reading_is_never_refused(workers):
    workers.requests = 2
    exchange = Exchange(b"x")
    exchange.scope["method"] = "GET"
    assert exchange.through(workers) is None and exchange.body == b"x"


def test_an_answer_that_takes_too_long_is_given_up_but_counts_until_it_ends(workers):
    may_end = threading.Event()

    async def ask() -> None:
        with pytest.raises(RefusedError, match=r"the answer takes longer than 0\.2 s") as refused:
            await workers.run(may_end.wait)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        assert workers.abandoned == 1 and not workers.is_full
        workers.requests = 1
        assert workers.is_full
        may_end.set()
        while workers.abandoned:
            await asyncio.sleep(0)
        assert not workers.is_full

    asyncio.run(ask())


def test_a_computation_that_did_not_start_is_dropped():
    workers, may_end, ran = Workers(Limits(requests=2, seconds=0.2), 1), threading.Event(), []

    async def ask() -> None:
        first = asyncio.create_task(workers.run(may_end.wait))
        second = asyncio.create_task(workers.run(ran.append, 1))
        await asyncio.gather(first, second, return_exceptions=True)
        assert workers.abandoned == 1  # only the one that runs
        may_end.set()

    asyncio.run(ask())
    workers.close()
    assert ran == []


def test_a_result_comes_from_one_of_the_threads(workers):
    assert asyncio.run(workers.run(lambda: threading.current_thread().name)).startswith("convzoo-worker")


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Path:
    """A machine with eight processors, and a folder for its control groups."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path


def cpus(machine: Path, own: str = "0::/a/b\n", **files: str) -> int:
    for name, text in files.items():
        file = machine / name.replace("__", "/").replace("_max", ".max").replace("cfs", "cpu.cfs")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (machine / "own").write_text(own)
    return allowed_cpus(machine, machine / "own")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"a__b__cpu_max": "max 100000"}, 8),
        ({"a__b__cpu_max": "200000 100000"}, 2),
        ({"a__b__cpu_max": "250000 100000"}, 3),
        ({"a__b__cpu_max": "50000 100000"}, 1),
        ({"a__b__cpu_max": "max 100000", "a__cpu_max": "400000 100000"}, 4),
        ({"cpu_max": "300000 100000"}, 3),
        ({"cpu_max": "900000 100000"}, 8),
        ({"cpu_max": "nonsense"}, 8),
    ],
)
def test_the_threads_are_those_that_the_control_groups_allow(machine, files, expected):
    assert cpus(machine, **files) == expected


def test_control_groups_of_the_first_kind_limit_too(machine):
    quota = {"cpu,cpuacct__docker__cfs_quota_us": "150000", "cpu,cpuacct__docker__cfs_period_us": "50000"}
    assert cpus(machine, "5:memory:/docker\n4:cpu,cpuacct:/docker\n", **quota) == 3
    quota["cpu,cpuacct__docker__cfs_quota_us"] = "-1"
    assert cpus(machine, "4:cpu,cpuacct:/docker\n", **quota) == 8


def test_without_control_groups_it_is_the_affinity(machine):
    assert allowed_cpus(machine / "none", machine / "neither") == 8
