"""Artifact locations that move with the database: convzoo:/artifacts/... is the folder artifacts/... beside it.

MLflow loads `repository` by its entry point (pyproject.toml) while it is being imported itself, so this module imports
nothing of convzoo that imports MLflow.
"""

import os
from urllib.parse import quote

import click
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.tracking._tracking_service.utils import get_tracking_uri

from convzoo.tracking.addresses import FOLDER, SERVERS, artifact_path, sqlite_path

# MLflow's server sets it to the address of its database, for its workers.
SERVER_STORE = "_MLFLOW_SERVER_FILE_STORE"


def repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> ArtifactRepository:
    """The artifacts of a location: the folder beside the sqlite database, or what a server has there.

    Raises MlflowException for a location outside the artifacts, and if there is no such database.
    """
    try:
        path = artifact_path(artifact_uri)
    except ValueError as error:
        raise MlflowException(str(error)) from None
    uri = tracking_uri or _store_of_command() or os.environ.get(SERVER_STORE) or get_tracking_uri()
    if uri.startswith(tuple(f"{scheme}://" for scheme in SERVERS)):  # `convzoo ui` serves the folder
        below = path.removeprefix(FOLDER).lstrip("/")
        return MlflowArtifactsRepository(f"mlflow-artifacts:/{quote(below)}", uri, registry_uri)
    file = sqlite_path(uri)
    if file is None or not file.is_file():
        raise MlflowException(
            f"{artifact_uri}: is beside convzoo's database, expected it at {uri}; "
            "set MLFLOW_TRACKING_URI to sqlite:////PATH/mlruns/mlflow.db"
        )
    return LocalArtifactRepository((file.absolute().parent / path).as_uri(), uri, registry_uri)


def _store_of_command() -> str | None:
    """The database of `mlflow gc --backend-store-uri`, which may be another than MLFLOW_TRACKING_URI."""
    context = click.get_current_context(silent=True)
    return context.params.get("backend_store_uri") if context else None
