"""What one side has and the other lost: files without a run or a version, runs and versions without their files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from convzoo.tracking import store  # before mlflow: what it reads when it is imported is set there

# isort: split
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

from convzoo.shipping.network_files import MADE_BY
from convzoo.tracking.answering import answering
from convzoo.tracking.live import tracking_is_off
from convzoo.tracking.models import SHIPPED, model_of


def orphans(networks: Iterable[str]) -> list[str]:
    """A line for each, with what to do; `networks` are those of params.yaml. None where tracking is off.

    Changes nothing but the status of runs whose process died. Raises TrackingError for a store that fails.
    """
    if tracking_is_off():
        return []
    client, known = store.use_store(), set(networks)
    with answering(f"{store.tracking_uri()}: cannot be looked through", "mend it, then run: convzoo sync"):
        return [*_of_models(known), *_of_registry(client, known), *_of_runs(client)]


def _of_models(known: set[str]) -> Iterator[str]:
    for folder in sorted(Path("models").glob("*/")):
        if folder.name not in known and any((folder / name).exists() for name in MADE_BY):
            yield f"{folder}: params.yaml has no network {folder.name}; bring its block back, or remove the folder"


def _of_registry(client: MlflowClient, known: set[str]) -> Iterator[str]:
    for model in client.search_registered_models():
        if model.name not in known:
            yield f"registered model {model.name}: params.yaml has no such network; its versions stay as they are"
        for version in client.search_model_versions(f"name = '{model.name}'"):
            name = f"{model.name} version {version.version}"
            if not _is_stored(client, model_of(version)):
                yield f"{name}: its file is not in the store; if models/{model.name} holds it, sync registers it anew"
            elif version.run_id and _run(client, version.run_id) is None:
                yield f"{name}: its run {version.run_id} is deleted; it can be served, but not traced"


def _of_runs(client: MlflowClient) -> Iterator[str]:
    for experiment in client.search_experiments(filter_string="name LIKE 'convzoo/%'"):
        for run in store.mark_dead_runs(client, experiment.experiment_id):
            yield f"run {run.info.run_name} of {experiment.name}: its process died; now marked as KILLED"
        location = experiment.artifact_location
        folder = Path(local_file_uri_to_path(location)) if location.startswith("file:") else None
        if folder is None or not folder.is_dir():
            continue
        found = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=50_000)
        runs = {run.info.run_id for run in found} | {"models"}
        for left in sorted(path for path in folder.iterdir() if path.name not in runs):
            yield f"{left}: belongs to no run of {experiment.name}; it can be removed"


def _is_stored(client: MlflowClient, model_id: str) -> bool:
    try:
        return SHIPPED in {entry.path for entry in client.list_logged_model_artifacts(model_id, "extra_files")}
    except MlflowException:
        return False


def _run(client: MlflowClient, run_id: str) -> Run | None:
    try:
        run = client.get_run(run_id)
    except MlflowException:
        return None
    return run if run.info.lifecycle_stage == "active" else None
