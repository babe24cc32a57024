"""Which model a name stands for: a version in the registry by its alias, or the file in models/."""

import atexit
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from convzoo.tracking import store  # before mlflow: what it reads when it is imported is set there

# isort: split
import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from convzoo.errors import ConvzooError
from convzoo.files import sha256_of
from convzoo.shipping.network_files import read_files

SHIPPED = "extra_files/model.onnx"  # in a logged model, the file as it was exported
SHA256 = "convzoo.model_sha256"  # the tag of a version that names its file
NUMBER = re.compile(r"[vV](\d+)")
ALIASES = ("champion", "candidate")  # in the order in which they are looked for


class Found(NamedTuple):
    """A model's file, and in words which one it is."""

    file: Path
    title: str


def find_model(name: str) -> Found:
    """The model that NETWORK[@ALIAS] stands for; without an alias @champion, else @candidate, else models/NETWORK.

    Raises ConvzooError where there is none, and for a file whose bytes are not those that were registered.
    """
    network, _, alias = name.partition("@")
    client = store.use_store()
    found = by_alias(client, name)
    if found:
        wanted, version = found
        return Found(_checked_file(client, name, version), f"{network}@{wanted}: version {version.version}")
    file = Path("models", network, "model.onnx")
    if alias or not file.is_file():
        raise none_found(client, name, "" if alias else f", and no {file}")
    read_files(network)  # which holds it against export.json
    return Found(file, f"{network}: {file}, which is not registered")


def by_alias(client: MlflowClient, name: str) -> tuple[str, ModelVersion] | None:
    """The alias and the version that NETWORK[@ALIAS] stands for; without an alias @champion, else @candidate.

    @v3 is version 3: mlflow keeps such names free of aliases.
    """
    network, _, alias = name.partition("@")
    number = NUMBER.fullmatch(alias)
    for wanted in [alias] if alias else ALIASES:
        try:
            if number:
                return wanted, client.get_model_version(network, number[1])
            return wanted, client.get_model_version_by_alias(network, wanted)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise store.TrackingError(f"{name}: {store.first_line(error)}") from error
    return None


def none_found(client: MlflowClient, name: str, more: str = "") -> ConvzooError:
    """The error that says which models there are."""
    alias = name.partition("@")[2]
    number = NUMBER.fullmatch(alias)
    looked = f"version {number[1]}" if number else f"alias {alias or ' or '.join(ALIASES)}"
    known = ", ".join(sorted(model.name for model in client.search_registered_models())) or "none yet"
    return ConvzooError(f"{name}: there is no {looked}{more}; registered models: {known}; `dvc repro` makes them")


def model_of(version: ModelVersion) -> str:
    """The id of the logged model behind a version."""
    return version.source.removeprefix("models:/")


def shipped_file(client: MlflowClient, model_id: str, folder: Path) -> Path | None:
    """The exported file as the registry keeps it, brought to `folder` if need be; None where it is not there."""
    if SHIPPED not in {entry.path for entry in client.list_logged_model_artifacts(model_id, "extra_files")}:
        return None
    location = client.get_logged_model(model_id).artifact_location
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=f"{location}/{SHIPPED}", dst_path=str(folder)))


def folder_until_exit() -> Path:
    """A new folder that this process takes away when it ends."""
    folder = tempfile.mkdtemp(prefix="convzoo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _checked_file(client: MlflowClient, name: str, version: ModelVersion) -> Path:
    file = shipped_file(client, model_of(version), folder_until_exit())
    expected = version.tags.get(SHA256)
    if file is None or sha256_of(file) != expected:
        raise ConvzooError(
            f"{name}: the registry's file of version {version.version} is not the one that was registered "
            f"(sha256 {expected}); run: convzoo sync"
        )
    return file
