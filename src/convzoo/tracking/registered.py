"""All registered models and versions of the store, and how to get back what it has lost of one."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from convzoo.tracking.models import SHA256  # before mlflow, which reads environment variables that it sets

# isort: split
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.store.entities import PagedList

from convzoo.files import sha256_of

PLAIN_NAME = re.compile(r"[\w .-]+")  # what a filter of MLflow's can hold; it cannot hold both kinds of quotes


def registered_models(client: MlflowClient) -> list[RegisteredModel]:
    """All registered models, by name."""
    return sorted(_pages(client.search_registered_models), key=lambda model: model.name)


def versions_of(client: MlflowClient, network: str) -> list[ModelVersion]:
    """All versions of a registered model, oldest first, whatever characters its name has."""
    only = f"name = '{network}'" if PLAIN_NAME.fullmatch(network) else None
    pages = _pages(client.search_model_versions, filter_string=only)
    return sorted((found for found in pages if found.name == network), key=lambda version: int(version.version))


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
        f"{file} is another one, so bring back the files of that version (git checkout of its commit, then dvc "
        f"checkout) and run: convzoo sync; or choose another version, see: convzoo models"
    )


def _pages(search: Callable[..., PagedList], **arguments: Any) -> Iterator[Any]:
    page = search(**arguments)
    yield from page
    while page.token:
        page = search(**arguments, page_token=page.token)
        yield from page
