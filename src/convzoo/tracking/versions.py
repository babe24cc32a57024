"""A registered version and all that the store knows of how it came to be."""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.tracking import store  # before mlflow: what it reads when it is imported is set there

# isort: split
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from convzoo.errors import ConvzooError
from convzoo.lineage.record import DESCENT
from convzoo.tracking.models import by_alias, model_of, none_found, shipped_file


class Version(NamedTuple):
    """A registered version, its run, and its descent as it was recorded (see `descent.descent`)."""

    name: str  # as the user gave it, or with the alias that was found
    client: MlflowClient
    version: ModelVersion
    run: Run
    descent: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return self.descent["identity"]["fingerprint"]

    def bring_model(self, folder: Path) -> Path | None:
        """The registered file, brought to `folder` if need be; None where the store lost it."""
        return shipped_file(self.client, model_of(self.version), folder)


def find_version(name: str) -> Version:
    """The version that NETWORK[@ALIAS] stands for; without an alias @champion, else @candidate.

    Raises ConvzooError where there is none, and for one that was registered without its descent.
    """
    client = store.use_store()
    found = by_alias(client, name)
    if found is None:
        raise none_found(client, name)
    alias, version = found
    run = client.get_run(version.run_id)
    return Version(f"{version.name}@{alias}", client, version, run, _descent_of(name, run))


def find_run(run_id: str) -> tuple[Run, dict[str, Any] | None]:
    """A run by its id, and its descent if one was recorded, as for those that were registered."""
    client = store.use_store()
    run = client.get_run(run_id)
    try:
        return run, _descent_of(run_id, run)
    except ConvzooError:
        return run, None


def _descent_of(name: str, run: Run) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            uri = f"{run.info.artifact_uri}/{DESCENT}"
            return json.loads(Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)).read_text())
        except (MlflowException, OSError) as error:
            raise ConvzooError(
                f"{name}: its run {run.info.run_id} has no {DESCENT} ({store.first_line(error)}), expected one, as "
                "every registration writes it; run: convzoo sync, which records it for the networks in models/"
            ) from error
