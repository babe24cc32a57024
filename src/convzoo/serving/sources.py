"""Where a server finds its networks: the registry, or a folder of exported networks.

Imports no MLflow unless the registry is a tracking server.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from convzoo.errors import ConvzooError, without_account
from convzoo.files import read_json
from convzoo.signing import FILE, SIGNATURE
from convzoo.tracking import store
from convzoo.tracking.addresses import artifact_path
from convzoo.tracking.aliases import CANDIDATE, CHAMPION, aliases_of
from convzoo.tracking.listing import when
from convzoo.tracking.reader import Reader, UnansweredError
from convzoo.tracking.registered import SHA256, existing_run, registered_models, versions_of
from convzoo.tracking.versions import Version

Result = TypeVar("Result")

PARTS = "parts"
CARD = "card.md"
MODEL, EXPORT = "model.onnx", "export.json"
SERVER_INTERVAL = 5.0  # seconds between two questions to a tracking server
# Tags of versions that are no metrics, although they are numbers.
NO_METRICS = ("convzoo.", "mlflow.")


class Release(NamedTuple):
    """A version that can be served."""

    network: str
    alias: str | None
    version: int | None  # None in a folder, which knows no versions
    sha256: str | None  # that was registered; None for a version that was registered by hand
    fetch: Callable[[Path], Path | None]  # copies its files into an empty folder; the ONNX file, None if it is lost
    signature: str | None = None  # of these files, if somebody signed them

    @property
    def key(self) -> tuple[int | None, str | None]:
        return self.version, self.sha256

    @property
    def title(self) -> str:
        """As in `version 3`."""
        return f"version {self.version}" if self.version is not None else f"file {(self.sha256 or '')[:12]}"


@dataclass
class Snapshot:
    """What a source has at one moment."""

    releases: dict[str, dict[str, Release]] = field(default_factory=dict)  # by network and alias
    versions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # for people, newest first


class Source(Protocol):
    """Where networks come from."""

    def has_changed(self) -> bool:
        """Whether a snapshot may differ from the last one."""

    def snapshot(self) -> Snapshot:
        """What there is now. Raises ConvzooError."""

    def card(self, network: str, version: int | None) -> str:
        """The model card of a version, in Markdown; empty if it has none."""


class Registry:
    """The registered versions: of the project's database, without MLflow, or of a tracking server, with it."""

    def __init__(self) -> None:
        self.database = store.database_file(store.tracking_uri())
        self._seen: Any = None
        self._asked = -SERVER_INTERVAL

    def has_changed(self) -> bool:
        """Whether the database was written to. What a tracking server has may have changed after SERVER_INTERVAL."""
        if self.database is None:
            return time.monotonic() - self._asked >= SERVER_INTERVAL
        return _state(self.database) != self._seen

    def snapshot(self) -> Snapshot:
        """All versions that have an alias, and a list of all versions."""
        before = _state(self.database) if self.database else None
        self._asked = time.monotonic()
        snapshot = _ask(_snapshot)
        self._seen = before  # only now: a question that failed is asked again
        return snapshot

    def card(self, network: str, version: int | None) -> str:
        """The description of a version."""
        return _ask(lambda client: _description(client, network, version))


class Folder:
    """A folder with NETWORK/model.onnx and NETWORK/export.json, such as models/ in a clone.

    A new file is noticed by its export.json, which is to be written last.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConvzooError(
                f"--models: {folder}: is not a folder, expected one with NETWORK/{MODEL}; check the path"
            )
        self.folder = folder.absolute()
        self._seen: Any = None

    def has_changed(self) -> bool:
        """Whether a file has another size, time or inode than at the last snapshot."""
        return self._state() != self._seen

    def snapshot(self) -> Snapshot:
        """Every network with both files."""
        before, snapshot = self._state(), Snapshot()
        for file in sorted(self.folder.glob(f"*/{EXPORT}")):
            network = file.parent.name
            if not file.with_name(MODEL).is_file():
                continue
            export = read_json(file, "model_sha256")
            release = Release(
                network,
                None,
                None,
                export["model_sha256"],
                lambda into, of=file.parent: _copy(of, into),
                _signature(file.with_name(FILE)),
            )
            snapshot.releases[network] = {CHAMPION: release}
            metrics = _metrics_of(file.with_name("evaluation.json"))
            row = {"version": None, "aliases": [], "sha256": release.sha256, "metrics": metrics, "registered": None}
            snapshot.versions[network] = [row]
        self._seen = before
        return snapshot

    def card(self, network: str, version: int | None) -> str:
        """The file card.md."""
        file = self.folder / network / CARD
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    def _state(self) -> list[Any]:
        files = [file for name in (EXPORT, MODEL, FILE) for file in self.folder.glob(f"*/{name}")]
        return [_state(file) for file in sorted(files)]


def wanted(releases: dict[str, Release], alias: str | None) -> Release | None:
    """The release with an alias; without one the champion, otherwise the candidate."""
    return releases.get(alias) if alias else releases.get(CHAMPION) or releases.get(CANDIDATE)


def networks_of(snapshot: Snapshot) -> list[str]:
    """The networks that have a champion or a candidate."""
    return [name for name, releases in snapshot.releases.items() if wanted(releases, None)]


def _ask(question: Callable[[Any], Result]) -> Result:
    """The result of `question` with a Reader of the project's database, or with MLflow's client if it cannot answer.

    Raises ConvzooError. A database that is busy is one: MLflow would only wait longer for it.
    """
    uri = without_account(store.tracking_uri())
    try:
        with store.failures_raised_as(f"{uri}: cannot be read"):
            try:
                with closing(Reader()) as reader:
                    return question(reader)
            except UnansweredError:
                return question(store.use_store())
    except ImportError as error:
        raise ConvzooError(
            f"{uri}: cannot be read without MLflow ({error}), expected a database of a version of MLflow that convzoo "
            "knows; install mlflow, or serve a folder: --models DIR"
        ) from None


def _snapshot(client: Any) -> Snapshot:
    snapshot = Snapshot()
    for model in registered_models(client):
        network, aliases = model.name, aliases_of(client, model.name)
        versions = {str(version.version): version for version in versions_of(client, network)}
        found = {alias: versions[at.version] for alias, at in aliases.items() if at.version in versions}
        named = found | {f"v{number}": version for number, version in versions.items()}
        snapshot.releases[network] = {alias: _release(network, alias, version) for alias, version in named.items()}
        snapshot.versions[network] = [
            {
                "version": int(number),
                "aliases": [alias for alias, other in found.items() if str(other.version) == number],
                "sha256": version.tags.get(SHA256),
                "metrics": _numbers(version.tags),
                "registered": when(version.creation_timestamp),
            }
            for number, version in reversed(versions.items())
        ]
    return snapshot


def _release(network: str, alias: str, version: Any) -> Release:
    number = int(version.version)

    def fetch(folder: Path) -> Path | None:
        return _ask(lambda client: fetch_version(client, network, number, folder))

    return Release(network, alias, number, version.tags.get(SHA256), fetch, version.tags.get(SIGNATURE))


def fetch_version(client: Any, network: str, number: int, folder: Path) -> Path | None:
    """Copy the file of a version, its export.json and its parts; the client is MLflow's or a Reader."""
    version = client.get_model_version(network, str(number))
    file = Version(network, client, version, None, {}).download(folder)
    run = existing_run(client, version.run_id)
    if run is not None:
        _fetch_parts(client, run, folder)
    return file


def _fetch_parts(client: Any, run: Any, folder: Path) -> None:
    if isinstance(client, Reader):
        stored = client.folder / artifact_path(run.info.artifact_uri) / PARTS
        if stored.is_dir():
            shutil.copytree(stored, folder / PARTS)
        return
    from convzoo.tracking.downloads import download_folder

    download_folder(f"{run.info.artifact_uri}/{PARTS}", folder)


def _description(client: Any, network: str, version: int | None) -> str:
    if isinstance(client, Reader):
        query = "SELECT description FROM model_versions WHERE name = ? AND version = ?"
        rows = client.database.execute(query, (network, version)).fetchall()
        return (rows[0]["description"] if rows else None) or ""
    return client.get_model_version(network, str(version)).description or ""


def _numbers(tags: dict[str, str]) -> dict[str, float]:
    """The tags that are metrics."""
    numbers = {}
    for key, text in sorted(tags.items()):
        if key.startswith(NO_METRICS):
            continue
        try:
            numbers[key] = float(text)
        except ValueError:
            continue
    return numbers


def _metrics_of(file: Path) -> dict[str, float]:
    if not file.is_file():
        return {}
    return {
        key: float(value)
        for key, value in read_json(file).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _copy(origin: Path, folder: Path) -> Path | None:
    """Copy a network's files."""
    try:
        shutil.copyfile(origin / EXPORT, folder / EXPORT)
        if (origin / PARTS).is_dir():
            shutil.copytree(origin / PARTS, folder / PARTS)
        return Path(shutil.copyfile(origin / MODEL, folder / MODEL))
    except FileNotFoundError:
        return None


def _signature(file: Path) -> str | None:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None


def _state(file: Path) -> list[tuple[int, int, int] | None]:
    """What changes when a file, or sqlite's file beside it, is written to."""
    return [_stat(file), _stat(file.with_name(f"{file.name}-wal"))]


def _stat(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
