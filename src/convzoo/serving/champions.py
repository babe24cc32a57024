"""Keeps the version of each network loaded that should answer, and replaces it when the source has another one."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convzoo.errors import ConvzooError, did_you_mean, explained, first_line
from convzoo.serving.served import Served, load
from convzoo.serving.sources import Release, Snapshot, Source, networks_of, wanted
from convzoo.tracking.aliases import CANDIDATE

INTERVAL = 1.0  # seconds between two looks at the source
RETRY = 10.0  # seconds before a version that could not be loaded is tried again
SOURCE = "registry"  # the key of a problem with the source itself

log = logging.getLogger("convzoo.serve")


class Champions:
    """The loaded networks. `serving` is what answers, `shadows` what is compared with it.

    Both are only ever changed by putting a whole Served in the place of another, so a request that took one before
    finishes with it. `problems` says, by network, why something else is served than should be.
    """

    def __init__(
        self, source: Source, names: Sequence[str] = (), shadow: str | None = None, logged: bool = False
    ) -> None:
        self.source, self.shadow_alias, self.logged = source, shadow, logged
        self.aliases = {name.partition("@")[0]: name.partition("@")[2] or None for name in names}
        self.serving: dict[str, Served] = {}
        self.shadows: dict[str, Served] = {}
        self.problems: dict[str, str] = {}
        self.snapshot = Snapshot()
        self._failed: dict[tuple[str, Any], float] = {}  # when a version could not be loaded, on the monotonic clock

    def start(self) -> None:
        """Load everything. Raises ConvzooError for a network that does not exist, and if nothing can be served."""
        self.snapshot = self.source.snapshot()
        for network, alias in self.aliases.items():
            _check_exists(self.snapshot, network, alias)
        self.refresh()
        if not self.serving:
            problems = "".join(f"\n{problem}" for problem in self.problems.values())
            raise ConvzooError(
                "no network can be served, expected one with a champion or a candidate; to train and register "
                f"networks, run: convzoo repro{problems}"
            )

    def refresh(self) -> None:
        """Bring what is loaded up to date; a version that cannot be loaded leaves the previous one in its place."""
        try:
            self.snapshot = self.source.snapshot()
            self._solved(SOURCE)
        except Exception as error:
            self._problem(SOURCE, error)
            return
        for network in self.networks():
            releases = self.snapshot.releases.get(network, {})
            release = wanted(releases, self.aliases.get(network))
            if release is None:
                self._problem(network, ConvzooError(f"{network}: {self._missing(network)}; the last version stays"))
            else:
                self._update(self.serving, release, network)
            self._update_shadow(network, releases)

    def networks(self) -> list[str]:
        """What is to be served: the networks that were asked for, or all."""
        return list(self.aliases) or sorted({*networks_of(self.snapshot), *self.serving})

    def is_due(self) -> bool:
        """Whether there may be something new, or something to try again."""
        now = time.monotonic()
        return self.source.has_changed() or any(now - failed >= RETRY for failed in self._failed.values())

    async def watch(self) -> None:
        """Refresh whenever the source has changed, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                if await asyncio.to_thread(self.is_due):
                    await asyncio.to_thread(self.refresh)
            except Exception:
                log.exception("the networks could not be updated; those that are loaded continue to answer")

    @property
    def is_ready(self) -> bool:
        """Whether every network has a version that answers."""
        return bool(self.serving) and all(network in self.serving for network in self.networks())

    def _missing(self, network: str) -> str:
        alias = self.aliases.get(network)
        return f"no version has the alias {alias}" if alias else "no version has the alias champion or candidate"

    def _update_shadow(self, network: str, releases: dict[str, Release]) -> None:
        champion = self.serving.get(network)
        shadow = releases.get(self.shadow_alias) if self.shadow_alias else None
        if shadow is None or champion is None or shadow.key == champion.release.key:
            self.shadows.pop(network, None)
            self._solved(_shadow_of(network))
        else:
            self._update(self.shadows, shadow, _shadow_of(network))

    def _update(self, loaded: dict[str, Served], release: Release, topic: str) -> None:
        """Put the version in the place of the loaded one, if it is another and can be loaded."""
        current = loaded.get(release.network)
        if current and current.release.key == release.key:
            loaded.update({release.network: Served(**vars(current) | {"release": release})})
            self._forget(topic)
            self._solved(topic)
            return
        failed = self._failed.get((topic, release.key))
        if failed is not None and time.monotonic() - failed < RETRY:
            return
        self._forget(topic)
        try:
            with tempfile.TemporaryDirectory(prefix="convzoo-serve-") as folder:
                new = load(release, Path(folder), self.logged and loaded is self.serving)
        except Exception as error:
            self._failed[topic, release.key] = time.monotonic()
            self._problem(topic, error, f"; {current.release.title} continues to answer" if current else "")
            return
        loaded[release.network] = new
        self._solved(topic)
        before = f", before: {current.release.title}" if current else ""
        log.info("%s: %s (sha256 %s)%s", topic, release.title, new.sha256[:12], before)

    def _forget(self, topic: str) -> None:
        self._failed = {key: when for key, when in self._failed.items() if key[0] != topic}

    def _problem(self, topic: str, error: Exception, more: str = "") -> None:
        message = explained(error)
        text = str(message) if message else f"{topic}: {type(error).__name__}: {first_line(error)}"
        if self.problems.get(topic) != text + more:
            log.error("%s", text + more)
        self.problems[topic] = text + more

    def _solved(self, topic: str) -> None:
        self.problems.pop(topic, None)


def _shadow_of(network: str) -> str:
    return f"{network} in the shadow"


def _check_exists(snapshot: Snapshot, network: str, alias: str | None) -> None:
    """Raise ConvzooError for a network that the source does not have."""
    if network not in snapshot.releases:
        known = sorted(snapshot.releases)
        raise ConvzooError(
            f"{network}: there is no such network to serve, {did_you_mean(network, known)}expected one of: "
            f"{', '.join(known) or 'none yet'}; see: convzoo models"
        )
    if wanted(snapshot.releases[network], alias) is None:
        expected = f"the alias {alias}" if alias else f"the alias champion or {CANDIDATE}"
        raise ConvzooError(f"{network}: no version has {expected}, expected one; see: convzoo models {network}")
