"""Which registered version or file a name stands for, what MLflow knows about it, and the aliases of versions."""

import atexit
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.tracking import store  # before mlflow, which reads environment variables that it sets

# isort: split
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from convzoo.errors import ConvzooError, did_you_mean, without_account
from convzoo.files import sha256_of
from convzoo.lineage.record import RECORD
from convzoo.shipping.network_files import read_network
from convzoo.tracking import runs
from convzoo.tracking.models import SHA256, download, is_by_hand
from convzoo.tracking.registered import registered_models, remedy
from convzoo.tracking.run_files import read_record, read_stored_json

CHAMPION, PREVIOUS, CANDIDATE = "champion", "previous", "candidate"
DEFAULT_ALIASES = (CHAMPION, CANDIDATE)  # of a name without an alias, in the order in which they are tried
SET_BY_CONVZOO = "convzoo.alias."  # a registered model's tag with the version that convzoo put this alias on
NUMBER = re.compile(r"[vV](\d{1,9})")  # a database takes no longer ones


class Alias(NamedTuple):
    """The version that an alias stands for."""

    version: str
    by_hand: bool  # not the version that convzoo put it on

    def named(self, alias: str) -> str:
        """The alias, with a note if it was set by hand."""
        return f"{alias} (set by hand)" if self.by_hand else alias


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
        digests, tests = {"val": self.lineage["identity"]["data"]["val"]}, runs.digests_of(self.run, "test")
        return digests | {"test": next(iter(tests))} if len(tests) == 1 else digests

    def download(self, folder: Path) -> Path | None:
        """The registered file, downloaded to `folder` from a server; None if the store lost it."""
        return download(self.client, self.version, folder)

    def export(self) -> dict[str, Any]:
        """export.json of the registered file, kept with the model or with the run; empty if neither has it."""
        version = self.version
        location = self.client.get_model_version_download_uri(version.name, version.version)
        for uri in (f"{location}/extra_files/export.json", f"{self.run.info.artifact_uri}/evaluation/export.json"):
            try:
                export = read_stored_json(uri)
            except (MlflowException, OSError, ValueError):
                continue
            if export.get("model_sha256") == self.lineage["model_sha256"]:
                return export
        return {}


def find_model(name: str) -> Model:
    """The model that NETWORK[@ALIAS] stands for; without an alias @champion, else @candidate, else models/NETWORK.

    Raises ConvzooError if there is none, and if the file differs from the one that was registered.
    """
    network, _, alias = name.partition("@")
    file = Path("models", network, "model.onnx")
    try:
        with store.failures_raised_as(f"{name}: cannot be looked up"):
            client = _open_store(name)
            if match := _find(client, name):
                return _registered_model(client, name, *match)
            if alias or not file.is_file():
                raise not_found(client, name, "" if alias else f", and no {file}")
        title = f"{network}: {file}, which is not registered"
    except store.TrackingError as error:
        if alias or not file.is_file():
            raise
        reason = str(error).removeprefix(f"{name}: ")
        title = f"{network}: {file}, since the registry cannot be used: {without_account(reason)}"
    read_network(network)  # compares the file with export.json
    return Model(file, title)


def find_version(name: str) -> Version:
    """The version that NETWORK[@ALIAS] stands for; without an alias @champion, else @candidate.

    Raises ConvzooError if there is none, and if its run or its lineage is missing.
    """
    with store.failures_raised_as(f"{name}: cannot be looked up"):
        client = _open_store(name)
        match = _find(client, name)
        if match is None:
            raise not_found(client, name)
        alias, version = match
        run = runs.existing_run(client, version.run_id)
        if run is None:
            raise _without_lineage(client, name, version, "is no longer in the store")
        lineage = _lineage(run)
        if lineage is None:
            raise _without_lineage(client, name, version, f"has no {RECORD} that can be read")
        found = Version(f"{version.name}@{alias}", client, version, run, lineage)
        if is_by_hand(version):
            _check_lineage_of_file(found)
        return found


def find_run(run_id: str) -> tuple[Run, dict[str, Any] | None]:
    """A run by its ID, and its lineage if its network was registered. Raises ConvzooError if there is no such run."""
    run = runs.existing_run(store.use_store(), run_id)
    if run is None:
        raise ConvzooError(
            f"{run_id}: cannot be looked up, {store.tracking_uri()} has no such run, expected the ID of one; the "
            "MLflow UI shows them: convzoo ui"
        )
    return run, _lineage(run)


def check_run_is_active(version: Version) -> None:
    """Raises ConvzooError if the run of a version is deleted, since nothing can be added to it then."""
    run_id = version.run.info.run_id
    if version.run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        raise ConvzooError(
            f"{version.name}: the run {run_id} of version {version.version.version} is deleted, expected an active one "
            "for the verdict; to restore it, run: "
            f"MLFLOW_TRACKING_URI={store.tracking_uri()} python -m mlflow runs restore --run-id {run_id}"
        )


def not_found(client: MlflowClient, name: str, more: str = "") -> ConvzooError:
    """The error for a name without a model; lists the registered ones."""
    network, _, alias = name.partition("@")
    number = NUMBER.fullmatch(alias)
    missing = f"version {number[1]}" if number else f"alias {alias or ' or '.join(DEFAULT_ALIASES)}"
    known = [model.name for model in registered_models(client)]
    names = f"{did_you_mean(network, known)}registered models: {', '.join(known) or 'none yet'}"
    remedy = "dvc repro"
    if any(Path("models").glob("*/registration.json")):  # of stages that `dvc repro` would skip
        remedy = "convzoo sync, which registers what is in models/"
    return ConvzooError(f"{name}: there is no {missing}{more}; {names}; to add one, run: {remedy}")


def aliases_of(client: MlflowClient, network: str) -> dict[str, Alias]:
    """All aliases of a registered model, by name; none if there is no such model."""
    try:
        model = client.get_registered_model(network)
    except MlflowException as error:
        if store.is_missing(error):
            return {}
        raise
    aliases = {}
    for alias, version in sorted(model.aliases.items()):
        # Versions before this tag existed have `candidate` without it.
        expected = model.tags.get(SET_BY_CONVZOO + alias, str(version) if alias == CANDIDATE else None)
        aliases[alias] = Alias(str(version), by_hand=expected != str(version))
    return aliases


def set_alias(client: MlflowClient, network: str, alias: str, version: str) -> None:
    """Put an alias on a version, and record that convzoo did."""
    client.set_registered_model_tag(network, SET_BY_CONVZOO + alias, str(version))
    client.set_registered_model_alias(network, alias, str(version))


def restore_alias(client: MlflowClient, network: str, alias: str, before: Alias | None) -> None:
    """Put an alias back on the version it stood for before, or remove it if it did not exist."""
    if before and before.by_hand:
        client.set_registered_model_alias(network, alias, before.version)
    elif before:
        set_alias(client, network, alias, before.version)
    elif alias in client.get_registered_model(network).aliases:
        client.delete_registered_model_alias(network, alias)
        client.delete_registered_model_tag(network, SET_BY_CONVZOO + alias)


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


def _find(client: MlflowClient, name: str) -> tuple[str, ModelVersion] | None:
    """The alias and the version that a name stands for. @v3 is version 3: MLflow reserves such names."""
    network, _, alias = name.partition("@")
    number = NUMBER.fullmatch(alias)
    for candidate in [alias] if alias else DEFAULT_ALIASES:
        try:
            if number:
                return candidate, client.get_model_version(network, number[1])
            return candidate, client.get_model_version_by_alias(network, candidate)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise store.TrackingError(f"{name}: {store.describe(error)}") from error
    return None


def _registered_model(client: MlflowClient, name: str, alias: str, version: ModelVersion) -> Model:
    """The file of a version, if it is the one that was registered."""
    number, by_hand = version.version, is_by_hand(version)
    try:
        file = download(client, version, folder_until_exit())
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


def _lineage(run: Run) -> dict[str, Any] | None:
    record = read_record(run)
    return record if isinstance(record, dict) and {"identity", "model_sha256"} <= record.keys() else None
