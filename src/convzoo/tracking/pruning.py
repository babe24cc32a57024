"""Old versions and runs in MLflow that nothing needs."""

import hashlib
import tempfile
from pathlib import Path
from typing import NamedTuple

from convzoo.tracking import store  # before mlflow, which reads environment variables that it sets

# isort: split
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from convzoo.lineage.needed import Needed, is_known
from convzoo.tracking import runs
from convzoo.tracking.aliases import aliases_of
from convzoo.tracking.models import download
from convzoo.tracking.registered import (
    SHA256,
    VERDICT,
    existing_run,
    is_by_hand,
    model_of,
    pages,
    registered_models,
    versions_of,
)
from convzoo.tracking.sweeps import PARENT

COMMIT, FINGERPRINT = "mlflow.source.git.commit", "convzoo.fingerprint"


class Old(NamedTuple):
    """What can be removed from MLflow, and the fingerprints of the trainings that are kept."""

    versions: list[ModelVersion]
    runs: list[Run]
    fingerprints: set[str]


def find_old(client: MlflowClient, needed: Needed, before: int) -> Old:
    """Find versions and runs from before a time (milliseconds) that nothing needs. Marks runs whose process died.

    A version is needed by an alias, the ledger, a verdict of a promotion, or a commit whose dvc.lock names its file.
    Versions that were registered by hand, that come from a commit that this clone lacks, or whose file the store has
    lost are kept, too, because it is unknown what needs them. A run is needed by a version that is kept, by models/,
    and by a child run that is kept.
    """
    old, kept = [], []
    for model in registered_models(client):
        aliased = {alias.version for alias in aliases_of(client, model.name).values()}
        for version in versions_of(client, model.name):
            is_old = version.creation_timestamp < before and str(version.version) not in aliased
            (old if is_old and not _is_needed(client, version, needed) else kept).append(version)
    kept_runs, fingerprints = {version.run_id for version in kept}, set(needed.fingerprints)
    for version in kept:
        fingerprints.add(version.tags.get(FINGERPRINT, ""))
        if model := _logged_model(client, version):
            kept_runs.add(model.source_run_id)
    return Old(old, *_old_runs(client, kept_runs, fingerprints, before))


def remove_version(client: MlflowClient, version: ModelVersion) -> None:
    """Delete a version, and its logged model if no other version has it; MLflow keeps the model until `mlflow gc`."""
    logged = _logged_model(client, version)
    client.delete_model_version(version.name, version.version)
    others = {model_of(other) for model in registered_models(client) for other in versions_of(client, model.name)}
    if logged and logged.model_id not in others:
        client.delete_logged_model(logged.model_id)


def _is_needed(client: MlflowClient, version: ModelVersion, needed: Needed) -> bool:
    if is_by_hand(version) or any(key.startswith(VERDICT) for key in version.tags):
        return True
    if (version.name, str(version.version)) in needed.versions or version.tags[SHA256] in needed.sha256s:
        return True
    run = existing_run(client, version.run_id)
    if run and not is_known(run.data.tags.get(COMMIT)):
        return True
    if not _logged_model(client, version):
        return False
    with tempfile.TemporaryDirectory() as folder:
        file = download(client, version, Path(folder))
        return file is None or hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() in needed.md5s


def _logged_model(client: MlflowClient, version: ModelVersion) -> LoggedModel | None:
    """The model that a version was registered from; None if there is none, or if it was deleted."""
    if (model_id := model_of(version)) is None:
        return None
    try:
        return client.get_logged_model(model_id)
    except MlflowException as error:
        if not store.is_missing(error):
            raise
        return None


def _old_runs(
    client: MlflowClient, kept: set[str | None], fingerprints: set[str], before: int
) -> tuple[list[Run], set[str]]:
    """The runs that can be removed, and the fingerprints of those that are kept."""
    old, parents = [], set()
    for experiment in pages(client.search_experiments, filter_string=f"name LIKE '{runs.TRAININGS}/%'"):
        runs.mark_dead_runs(client, experiment.experiment_id)
        for run in pages(client.search_runs, experiment_ids=[experiment.experiment_id]):
            tags, ended = run.data.tags, run.info.end_time or run.info.start_time
            is_old = run.info.status != "RUNNING" and ended < before and is_known(tags.get(COMMIT))
            if is_old and run.info.run_id not in kept and tags.get(FINGERPRINT) not in fingerprints:
                old.append(run)
            else:
                fingerprints = fingerprints | {tags.get(FINGERPRINT, "")}
                parents.add(tags.get(PARENT))
    return [run for run in old if run.info.run_id not in parents], fingerprints - {""}
