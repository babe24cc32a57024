"""Which registered version or file a name stands for, and what MLflow knows about it.

Imports MLflow only if the database cannot be read without it, and for what only MLflow does.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from convzoo.errors import ConvzooError, without_account
from convzoo.files import sha256_of
from convzoo.lineage.record import RECORD
from convzoo.shipping.network_files import read_network
from convzoo.tracking import store
from convzoo.tracking.aliases import CANDIDATE, CHAMPION
from convzoo.tracking.missing import NUMBER, not_found
from convzoo.tracking.reader import Reader, UnansweredError, ask
from convzoo.tracking.registered import (
    DESCRIPTION,
    EXPORTED,
    SERVED,
    SHA256,
    existing_run,
    is_by_hand,
    remedy,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

DEFAULT_ALIASES = (CHAMPION, CANDIDATE)  # of a name without an alias, in the order in which they are tried


class Model(NamedTuple):
    """A model's file, and a title that says which one it is."""

    file: Path
    title: str


class Version(NamedTuple):
    """A registered version, its run, and its lineage as it was registered (see `lineage_of`)."""

    name: str  # as the user gave it, or with the alias that was found
    client: MlflowClient
    version: ModelVersion
    run: Run
    lineage: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return self.lineage["identity"]["fingerprint"]

    @property
    def splits(self) -> dict[str, str]:
        """The digests of the splits val and test that it was selected and evaluated on; without those unknown.

        A version that was registered before `prepare` wrote digests has the digest of val in its identity, and the
        beginning of that of test among its run's data sets.
        """
        if recorded := self.lineage.get("splits"):
            return recorded
        from convzoo.tracking.runs import digests_of

        digests, tests = {"val": self.lineage["identity"]["data"]["val"]}, digests_of(self.run, "test")
        return digests | {"test": next(iter(tests))} if len(tests) == 1 else digests

    def download(self, folder: Path) -> Path | None:
        """The registered file, downloaded to `folder` from a server; None if the store lost it."""
        return _download(self.client, self.version, folder)

    def export(self) -> dict[str, Any]:
        """export.json of the registered file, kept with the model or with the run; empty if neither has it."""
        from convzoo.tracking.run_files import read_stored_json

        version = self.version
        location = self.client.get_model_version_download_uri(version.name, version.version)
        for uri in (f"{location}/{DESCRIPTION}", f"{self.run.info.artifact_uri}/evaluation/export.json"):
            export = read_stored_json(uri)
            if export and export.get("model_sha256") == self.lineage["model_sha256"]:
                return export
        return {}


def find_model(name: str, suits: Callable[[str], bool] | None = None) -> Model:
    """The model that NETWORK[@ALIAS] stands for; without an alias @champion, else @candidate, else models/NETWORK.

    An error proposes only networks for which `suits` is true. Raises ConvzooError if there is none, and if the file
    differs from the one that was registered.
    """
    network, _, alias = name.partition("@")
    file = Path("models", network, "model.onnx")
    has_file = file.is_file() and not alias

    def registered(client: MlflowClient | Reader) -> Model | None:
        if match := _find(client, name):
            return _registered_model(client, name, *match)
        if has_file:
            return None
        raise not_found(client, name, "" if alias else f", and there is no {file}", suits)

    try:
        with store.failures_raised_as(f"{name}: cannot be looked up"):
            if model := ask(registered, lambda: _open_store(name)):
                return model
        title = f"{network}: {file}, which is not registered"
    except store.TrackingError as error:
        if not has_file:
            raise
        reason = str(error).removeprefix(f"{name}: ")
        title = f"{network}: {file}, since the registry cannot be used: {without_account(reason)}"
    read_network(network)  # compares the file with export.json
    return Model(file, title)


def find_version(name: str, client: MlflowClient | Reader | None = None) -> Version:
    """The version that NETWORK[@ALIAS] stands for; without an alias @champion, else @candidate.

    `client` is MLflow's if not given. Raises ConvzooError if there is none, and if its run or its lineage is missing.
    """
    with store.failures_raised_as(f"{name}: cannot be looked up"):
        client = client or _open_store(name)
        match = _find(client, name)
        if match is None:
            raise not_found(client, name)
        alias, version = match
        run = existing_run(client, version.run_id)
        if run is None:
            raise _without_lineage(client, name, version, "is no longer in the store")
        lineage = _lineage(client, run)
        if lineage is None:
            raise _without_lineage(client, name, version, f"has no {RECORD} that can be read")
        found = Version(f"{version.name}@{alias}", client, version, run, lineage)
        if is_by_hand(version):
            _check_lineage_of_file(found)
        return found


def find_run(run_id: str) -> tuple[str, Run, dict[str, Any] | None]:
    """The network of a run, the run, and its lineage if it was registered. Raises ConvzooError if there is no such run.

    In an experiment that is not of convzoo, the network is the experiment's name.
    """
    client = store.use_store()
    run = existing_run(client, run_id)
    if run is None:
        raise ConvzooError(
            f"{run_id}: cannot be looked up, {store.tracking_uri()} has no such run, expected the ID of one; the "
            "MLflow UI shows them: convzoo ui"
        )
    experiment = client.get_experiment(run.info.experiment_id).name
    return unquote(experiment.removeprefix("convzoo/")), run, _lineage(client, run)


def check_run_is_active(version: Version) -> None:
    """Raises ConvzooError if the run of a version is deleted, since nothing can be added to it then."""
    run_id = version.run.info.run_id
    if version.run.info.lifecycle_stage != "active":
        raise ConvzooError(
            f"{version.name}: the run {run_id} of version {version.version.version} is deleted, expected an active one "
            "for the verdict; to restore it, run: "
            f"MLFLOW_TRACKING_URI={store.tracking_uri()} python -m mlflow runs restore --run-id {run_id}"
        )


def folder_until_exit() -> Path:
    """A new temporary folder that is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="convzoo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _open_store(name: str) -> MlflowClient:
    """The store, for looking up a name, which an error starts with."""
    try:
        return store.use_store()
    except store.TrackingError as error:
        raise store.TrackingError(f"{name}: {error}") from error


def _find(client: MlflowClient | Reader, name: str) -> tuple[str, ModelVersion] | None:
    """The alias and the version that a name stands for. @v3 is version 3: MLflow reserves such names."""
    network, _, alias = name.partition("@")
    number = NUMBER.fullmatch(alias)
    for candidate in [alias] if alias else DEFAULT_ALIASES:
        try:
            if number:
                return candidate, client.get_model_version(network, number[1])
            return candidate, client.get_model_version_by_alias(network, candidate)
        except Exception as error:
            code = getattr(error, "error_code", None)
            if code is None:
                raise
            if code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise store.TrackingError(f"{name}: {store.describe(error)}") from error
    return None


def _registered_model(client: MlflowClient, name: str, alias: str, version: ModelVersion) -> Model:
    """The file of a version, if it is the one that was registered."""
    number, by_hand = version.version, is_by_hand(version)
    try:
        file = _download(client, version, folder_until_exit())
    except UnansweredError:
        raise
    except Exception as error:  # each kind of artifact store has errors of its own
        if not by_hand:
            raise
        raise _no_file(name, version, f" ({store.describe(error)})") from error
    title = f"{version.name}@{alias}: version {number}"
    if by_hand:
        if file is None:
            raise _no_file(name, version)
        return Model(file, f"{title}, which was registered by hand")
    expected = version.tags[SHA256]
    if file is None or sha256_of(file) != expected:
        raise ConvzooError(
            f"{name}: the registry's file of version {number} is {'missing' if file is None else 'another one'}, "
            f"expected the one that was registered (sha256 {expected}); {remedy(client, version)}"
        )
    return Model(file, title)


def _no_file(name: str, version: ModelVersion, reason: str = "") -> ConvzooError:
    return ConvzooError(
        f"{name}: version {version.version} was registered by hand from {version.source}, which has no model.onnx that "
        f"can be read{reason}, expected an ONNX file; put the alias on another version, see: convzoo models"
    )


def _without_lineage(client: MlflowClient, name: str, version: ModelVersion, problem: str) -> ConvzooError:
    """The error for a version whose run has a problem, or that has no run."""
    problem = f"its run {version.run_id} {problem}" if version.run_id else "it has no run"
    if is_by_hand(version):
        problem = f"version {version.version} was registered by hand, and {problem}"
    return ConvzooError(
        f"{name}: {problem}, expected one with the lineage, as every registration by convzoo writes it; "
        f"{remedy(client, version)}"
    )


def _check_lineage_of_file(found: Version) -> None:
    """Raises ConvzooError if a version that was registered by hand is not the network that its run trained."""
    network = found.lineage.get("network", found.version.name)
    if network != found.version.name:
        raise ConvzooError(
            f"{found.name}: version {found.version.version} was registered by hand from {found.version.source}, which "
            f"is the network {network}, expected {found.version.name}; choose another version, see: convzoo models"
        )
    with tempfile.TemporaryDirectory() as folder:
        file = found.download(Path(folder))
        if file is None or sha256_of(file) != found.lineage["model_sha256"]:
            raise ConvzooError(
                f"{found.name}: version {found.version.version} was registered by hand from {found.version.source}, "
                f"expected the file of its run {found.run.info.run_id} (sha256 {found.lineage['model_sha256']}), whose "
                "lineage it would have; choose another version, see: convzoo models"
            )


def _download(client: MlflowClient | Reader, version: ModelVersion, folder: Path) -> Path | None:
    """The file of a version, downloaded to `folder`, with its export.json beside it if the store has that."""
    if isinstance(client, Reader):
        if is_by_hand(version):
            raise UnansweredError
        client.download(version, DESCRIPTION, folder)
        return client.download(version, EXPORTED, folder) or client.download(version, SERVED, folder)
    from convzoo.tracking.models import download  # imports MLflow

    return download(client, version, folder)


def _lineage(client: MlflowClient | Reader, run: Run) -> dict[str, Any] | None:
    if isinstance(client, Reader):
        record = client.read_json(run, RECORD)
    else:
        from convzoo.tracking.run_files import read_record  # imports MLflow

        record = read_record(run)
    return record if isinstance(record, dict) and {"identity", "model_sha256"} <= record.keys() else None
