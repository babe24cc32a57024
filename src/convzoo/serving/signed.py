"""A source of networks that provides only files that the owner of a key signed."""

from pathlib import Path

from convzoo.serving.sources import Release, Snapshot, Source
from convzoo.signing import check_public_key, verify


class Signed:
    """Wraps another source: verifies the files of a release after they were copied and before they are used."""

    def __init__(self, source: Source, key: Path) -> None:
        """Raises ConvzooError for a file that is no public key."""
        check_public_key(key)
        self.source, self.key = source, key

    def has_changed(self) -> bool:
        """Whether the other source may have changed."""
        return self.source.has_changed()

    def card(self, network: str, version: int | None) -> str:
        """The model card, which is not signed."""
        return self.source.card(network, version)

    def snapshot(self) -> Snapshot:
        """What the other source has; fetching a release raises SignatureError unless it is signed."""
        snapshot = self.source.snapshot()
        releases = {
            network: {alias: release._replace(fetch=self._fetch(release)) for alias, release in found.items()}
            for network, found in snapshot.releases.items()
        }
        return Snapshot(releases, snapshot.versions)

    def _fetch(self, release: Release):
        def fetch(folder: Path) -> Path | None:
            file = release.fetch(folder)
            if file is not None:
                verify(folder, release.signature, self.key, f"{release.network}: {release.title}")
            return file

        return fetch
