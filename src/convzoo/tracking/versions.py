"""Which registered version or file a name stands for, what MLflow knows about it, and the aliases of versions."""

import atexit
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.tracking import store  # before mlflow, which reads environment variables that it sets

# isort: split
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from convzoo.errors import ConvzooError
from convzoo.files import sha256_of
from convzoo.lineage.record import RECORD
from convzoo.shipping.network_files import read_network
from convzoo.tracking import runs
from convzoo.tracking.models import SHA256, download, model_of

CHAMPION, PREVIOUS, CANDIDATE = "champion", "previous", "candidate"
DEFAULT_ALIASES = (CHAMPION, CANDIDATE)  # of a name without an alias, in the order in which they are tried
SET_BY_CONVZOO = "convzoo.alias."  # a registered model's tag with the version that convzoo put this alias on
NUMBER = re.compile(r"[vV](\d+)")


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
        return download(self.client, model_of(self.version), folder)

    def export(self) -> dict[str, Any]:
        """export.json of the registered file, kept with the model or with the run; empty if neither has it."""
        location = self.client.get_logged_model(model_of(self.version)).artifact_location
        for uri in (f"{location}/extra_files/export.json", f"{self.run.info.artifact_uri}/evaluation/export.json"):
            try:
                export = _read_json(uri)
            except (MlflowException, OSError):
                continue
            if export.get("model_sha256") == self.lineage["model_sha256"]:
                return export
        return {}


def find_model(name: str) -> Model:
    """The model that NETWORK[@ALIAS] stands for; without an alias @champion, else @candidate, else models/NETWORK.

    Raises ConvzooError if there is none, and if the file differs from the one that was registered.
    """
    network, _, alias = name.partition("@")
    client = store.use_store()
    match = _find(client, name)
    if match:
        alias, version = match
        return Model(_checked_file(client, name, version), f"{network}@{alias}: version {version.version}")
    file = Path("models", network, "model.onnx")
    if alias or not file.is_file():
        raise not_found(client, name, "" if alias else f", and no {file}")
    read_network(network)  # compares the file with export.json
    return Model(file, f"{network}: {file}, which is not registered")


def find_version(name: str) -> Version:
    """The version that NETWORK[@ALIAS] stands for; without an alias @champion, else @candidate.

    Raises ConvzooError if there is none, and if it was registered without its lineage.
    """
    client = store.use_store()
    match = _find(client, name)
    if match is None:
        raise not_found(client, name)
    alias, version = match
    run = client.get_run(version.run_id)
    return Version(f"{version.name}@{alias}", client, version, run, _lineage(name, run))


def find_run(run_id: str) -> tuple[Run, dict[str, Any] | None]:
    """A run by its ID, and its lineage if its network was registered."""
    run = store.use_store().get_run(run_id)
    try:
        return run, _lineage(run_id, run)
    except ConvzooError:
        return run, None


def not_found(client: MlflowClient, name: str, more: str = "") -> ConvzooError:
    """The error for a name without a model; lists the registered ones."""
    alias = name.partition("@")[2]
    number = NUMBER.fullmatch(alias)
    missing = f"version {number[1]}" if number else f"alias {alias or ' or '.join(DEFAULT_ALIASES)}"
    names = ", ".join(sorted(model.name for model in client.search_registered_models())) or "none yet"
    return ConvzooError(f"{name}: there is no {missing}{more}; registered models: {names}; to add one, run: dvc repro")


def aliases_of(client: MlflowClient, network: str) -> dict[str, Alias]:
    """All aliases of a registered model, by name."""
    model = client.get_registered_model(network)
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
    if before:
        set_alias(client, network, alias, before.version)
    elif alias in client.get_registered_model(network).aliases:
        client.delete_registered_model_alias(network, alias)
        client.delete_registered_model_tag(network, SET_BY_CONVZOO + alias)


def folder_until_exit() -> Path:
    """A new temporary folder that is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="convzoo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


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


def _checked_file(client: MlflowClient, name: str, version: ModelVersion) -> Path:
    file = download(client, model_of(version), folder_until_exit())
    expected = version.tags.get(SHA256)
    if file is None or sha256_of(file) != expected:
        raise ConvzooError(
            f"{name}: the registry's file of version {version.version} is not the one that was registered "
            f"(sha256 {expected}); run: convzoo sync"
        )
    return file


def _lineage(name: str, run: Run) -> dict[str, Any]:
    try:
        return _read_json(f"{run.info.artifact_uri}/{RECORD}")
    except (MlflowException, OSError) as error:
        raise ConvzooError(
            f"{name}: its run {run.info.run_id} has no {RECORD} ({store.describe(error)}), expected one, as every "
            "registration writes it; to record it for the networks in models/, run: convzoo sync"
        ) from error


def _read_json(uri: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return json.loads(Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)).read_text())
