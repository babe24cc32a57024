"""All registered models and versions of the store, what a version is made of, and how to get back what was lost of one.

Imports no MLflow: the client is MLflow's or a Reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convzoo.files import sha256_of
from convzoo.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.store.entities import PagedList

SERVED = "model.onnx"  # in a logged model, the file that MLflow wrote, which pyfunc and the server load
EXPORTED = "extra_files/model.onnx"  # the file as it was exported, if MLflow's has other bytes
DESCRIPTION = "extra_files/export.json"  # what the export wrote about it
LOGGED_MODEL = re.compile(r"models:/(m-[^/@]+)")  # the source of a version
SHA256 = "convzoo.model_sha256"  # the tag of runs, models and versions with the sha256 of that file
EXPERIMENT = "convzoo.experiment"  # the tag of a version that `dvc exp run` registered, until it is the candidate
VERDICT = "convzoo.promotion."  # the tags of a version with the verdict of its promotion
NO_CHANGES = "none"  # of the code and params since the commit
PLAIN_NAME = re.compile(r"[\w .-]+")  # what a filter of MLflow's can hold; it cannot hold both kinds of quotes


def model_of(version: ModelVersion) -> str | None:
    """The ID of the logged model of a version; None if it was registered by hand from something else."""
    match = LOGGED_MODEL.fullmatch(version.source or "")
    return match[1] if match else None


def is_by_hand(version: ModelVersion) -> bool:
    """Whether a version was registered by hand, so not by convzoo. Copies have the tags of their original."""
    return SHA256 not in version.tags or model_of(version) is None


def changes_of(tags: Mapping[str, str]) -> str | None:
    """The files of code and params that differed from the commit, given the tags of a run; None if that is unknown."""
    changes = tags.get("convzoo.dirty")
    return NO_CHANGES if changes == "clean" else changes


def registered_models(client: MlflowClient) -> list[RegisteredModel]:
    """All registered models, by name."""
    return sorted(pages(client.search_registered_models), key=lambda model: model.name)


def versions_of(client: MlflowClient, network: str) -> list[ModelVersion]:
    """All versions of a registered model, oldest first, whatever characters its name has."""
    only = f"name = '{network}'" if PLAIN_NAME.fullmatch(network) else None
    versions = pages(client.search_model_versions, filter_string=only)
    return sorted((found for found in versions if found.name == network), key=lambda version: int(version.version))


def remedy(client: MlflowClient, version: ModelVersion) -> str:
    """How to get back what the store has lost of a version."""
    sha256, name = version.tags.get(SHA256), version.name
    if sha256 is None:
        return "choose another version, see: convzoo models"
    newer = [other for other in versions_of(client, name) if int(other.version) > int(version.version)]
    same = [other.version for other in newer if other.tags.get(SHA256) == sha256]
    if same:
        return f"version {max(same, key=int)} has the same file: use {name}@v{max(same, key=int)}"
    file = Path("models", name, "model.onnx")
    if file.is_file() and sha256_of(file) == sha256:
        return "to register it again from models/, run: convzoo sync"
    return (
        f"{file} is another one, so restore the files of that version (git checkout of its commit, then dvc "
        f"checkout) and run: convzoo sync; or choose another version, see: convzoo models"
    )


def existing_run(client: MlflowClient, run_id: str | None) -> Run | None:
    """The run with this ID, which may be deleted; None if the store does not have it."""
    try:
        return client.get_run(run_id) if run_id else None
    except Exception as error:
        if not store.is_missing(error):
            raise
        return None


def pages(search: Callable[..., PagedList], **arguments: Any) -> Iterator[Any]:
    """Everything that a search of MLflow's finds, page by page."""
    page = search(**arguments)
    yield from page
    while page.token:
        page = search(**arguments, page_token=page.token)
        yield from page
