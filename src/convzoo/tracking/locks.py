"""Locks that let one process at a time register or promote a network.

For a sqlite database the lock is a file beside it. Clones that share a tracking server or another database share no
folder, so there the lock is a tag of the network's registered model, with a key that no other process has. MLflow
writes a tag and reads all tags of a model in one transaction each. A process sets its tag, then reads all: it has the
lock if it sees its own tag and no other one. Of two that set theirs at once, each sees the other, and the smaller key
stays. A holder writes its tag again every RENEW_EVERY seconds; others remove a tag that they saw unchanged for EXPIRY
seconds by their own clock, so that no two clocks are compared.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convzoo.errors import first_line, without_account
from convzoo.processes import process_name
from convzoo.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK = "convzoo.lock."  # the tag of a registered model is LOCK, the purpose, and a key
RENEW_EVERY = 10  # seconds
# Seconds without a renewal after which a holder writes nothing more. A request that it sent before is over by EXPIRY:
# MLflow tries three times, 15 s each.
SAFE = 30
EXPIRY = 90  # seconds without a renewal after which a holder counts as dead
WAIT = 240  # seconds to wait for the lock: a dead holder's EXPIRY, and the turns of others that waited longer
ANNOUNCE = 2  # seconds of waiting after which a message is printed
POLL = 0.2  # seconds between two reads of the tags
ACTIONS = {"promote": "changes the champion", "register": "registers a version"}


class Lock:
    """A lock that is held; that of a file needs no check."""

    def check(self) -> None:
        """Raises TrackingError if the lock may be another process's by now."""


class ServerLock(Lock):
    """A lock in a registry that clones share."""

    def __init__(self, client: MlflowClient, network: str, purpose: str) -> None:
        self.client, self.network, self.purpose = client, network, purpose
        self.prefix = f"{LOCK}{purpose}."
        self.key = f"{self.prefix}{uuid.uuid4().hex}"
        self._count = 0  # of renewals, which make each value of the tag another one
        self._renewed: float | None = None  # when the tag was set last; None if it is not set
        self._is_lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)
        self._seen: dict[str, tuple[str, float]] = {}  # the tags of others: their values, and since when they have them

    def acquire(self) -> None:
        """Wait for the lock. Raises TrackingError after WAIT seconds."""
        started, is_announced, may_set = _now(), False, True
        try:
            while True:
                if may_set and (self._renewed is None or _now() - self._renewed > RENEW_EVERY):
                    self._set()
                tags = self._tags()
                others = self._alive(tags)
                if not others and self.key in tags and self._renewed and _now() - self._renewed < SAFE:
                    for dead in self._seen.keys() & tags.keys():
                        self._remove(dead)
                    break
                if others and min(others) < self.key and self._renewed is not None:
                    self._remove(self.key)
                    self._renewed = None
                may_set = not others or self._renewed is not None
                if self.key not in tags:  # others removed it, since this process stood still
                    self._renewed = None
                owners = sorted(map(_owner, others.values()))
                if owners and not is_announced and _now() - started > ANNOUNCE:
                    is_announced = True
                    print(f"{self.network}: waiting, since {owners[0]} {ACTIONS[self.purpose]}", file=sys.stderr)
                if _now() - started > WAIT:
                    raise store.TrackingError(
                        f"{self.network}: {' and '.join(owners)} held the lock for {WAIT} s, expected a moment; wait "
                        "for that process, or end it; its lock expires by itself"
                    )
                time.sleep(POLL)
        except BaseException:
            self._withdraw()
            raise
        self._thread.start()

    def release(self) -> None:
        """Let the next one in."""
        self._ended.set()
        self._thread.join()
        self._withdraw()

    def check(self) -> None:
        """Raises TrackingError if the lock may be another process's by now."""
        if self._is_lost or _now() - self._renewed > SAFE or self.key not in self._tags():
            raise store.TrackingError(
                f"{self.network}: the lock in {without_account(store.tracking_uri())} was not renewed for {SAFE} s, so "
                "another process may have it, expected a connection and a process that run all the time; run the same "
                "command again"
            )

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_EVERY):
            before = self._renewed
            try:
                self._set()
            except Exception as error:
                if not store.is_failure(error):
                    raise
            # A renewal that comes late may write the tag after others have removed it.
            if _now() - before > SAFE:
                self._is_lost = True
                return

    def _set(self) -> None:
        started, self._count = _now(), self._count + 1
        value = json.dumps({"owner": _me(), "expires_after": EXPIRY, "renewals": self._count})
        self.client.set_registered_model_tag(self.network, self.key, value)
        self._renewed = started

    def _tags(self) -> dict[str, str]:
        tags = self.client.get_registered_model(self.network).tags
        return {key: value for key, value in tags.items() if key.startswith(self.prefix)}

    def _alive(self, tags: dict[str, str]) -> dict[str, str]:
        """The tags of others that changed in the last EXPIRY seconds, or that are seen for the first time."""
        now, seen = _now(), {}
        for key, value in tags.items():
            if key != self.key:
                old, since = self._seen.get(key, (None, now))
                seen[key] = (value, since if value == old else now)
        self._seen = seen
        return {key: value for key, (value, since) in seen.items() if now - since < EXPIRY}

    def _remove(self, key: str) -> None:
        self.client.delete_registered_model_tag(self.network, key)

    def _withdraw(self) -> None:
        """Remove the own tag; a server that does not answer leaves it to expire."""
        try:
            if self._count:
                self._remove(self.key)
        except Exception as error:
            if not store.is_failure(error):
                raise
            print(
                f"warning: {self.network}: the lock could not be removed ({without_account(first_line(error))}); it "
                f"expires after {EXPIRY} s",
                file=sys.stderr,
            )


@contextmanager
def locked(network: str, purpose: str) -> Iterator[Lock]:
    """Lets one process at a time change a network's versions or aliases; `purpose` is one of ACTIONS.

    In a registry that clones share, the network must be registered. Raises TrackingError if another one keeps the lock.
    """
    if not store.is_shared():
        with store.locked(store.beside_database(purpose)):
            yield Lock()
        return
    lock = ServerLock(store.use_store(), network, purpose)
    lock.acquire()
    try:
        yield lock
    finally:
        lock.release()


def _me() -> str:
    from convzoo.tracking.labels import user_name

    host, number, _ = process_name().rsplit(" ", 2)
    return f"{user_name()} on {host} (process {number})"


def _owner(value: str) -> str:
    """Who set a tag; it may have been changed by hand."""
    try:
        return str(json.loads(value)["owner"])
    except (ValueError, LookupError, TypeError):
        return "somebody"


def _now() -> float:
    """Seconds that count on while the machine sleeps, as far as the system has such a clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
