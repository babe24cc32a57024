"""Compares models/ with MLflow: registers what MLflow lacks, and lists what only one of the two has."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from convzoo.tracking import store  # before mlflow, which reads environment variables that it sets

# isort: split
from mlflow import MlflowClient
from mlflow.entities import ViewType

from convzoo.errors import ConvzooError
from convzoo.shipping.network_files import STAGE_OF, missing_files
from convzoo.tracking import runs
from convzoo.tracking.live import tracking_is_off
from convzoo.tracking.models import has_file
from convzoo.tracking.registered import SHA256, is_by_hand, model_of, registered_models, versions_of
from convzoo.tracking.registry import register

Show = Callable[[str], object]  # prints a line


def sync(networks: Sequence[str], started: Show = lambda _: None, done: Show = lambda _: None) -> list[str]:
    """Register each network whose files are complete; a line for each network.

    Calls `started` before each network if there are several, and `done` with its line. Tries every network; then raises
    ConvzooError with a line for each that failed.
    """
    messages, errors = [], []
    for number, network in enumerate(networks, 1):
        if len(networks) > 1:
            started(f"{network}: comparing models/{network} with MLflow ({number} of {len(networks)})")
        missing = ", ".join(missing_files(network))
        try:
            message = f"{network}: skipped, models/{network} has no {missing}" if missing else register(network)
        except ConvzooError as error:
            errors.append(str(error))
            continue
        messages.append(message)
        done(message)
    if errors:
        raise ConvzooError("\n".join(errors))
    return messages


def orphans(networks: Iterable[str]) -> list[str]:
    """A line for each orphan, with what to do; `networks` are those of params.yaml. None if tracking is off.

    Changes nothing but the status of runs whose process died. Raises TrackingError if the store fails.
    """
    if tracking_is_off():
        return []
    client, known = store.use_store(), set(networks)
    with store.failures_raised_as(f"{store.tracking_uri()}: cannot be searched", "fix it, then run: convzoo sync"):
        return [*_in_models(known), *_in_registry(client, known), *_in_runs(client)]


def _in_models(known: set[str]) -> Iterator[str]:
    for folder in sorted(Path("models").glob("*/")):
        if folder.name not in known and any((folder / name).exists() for name in STAGE_OF):
            yield f"{folder}: params.yaml has no network {folder.name}; restore its block, or remove the folder"


def _in_registry(client: MlflowClient, known: set[str]) -> Iterator[str]:
    for model in registered_models(client):
        if model.name not in known:
            yield f"registered model {model.name}: params.yaml has no such network; its versions stay as they are"
        versions = [version for version in versions_of(client, model.name) if not is_by_hand(version)]
        newest = {version.tags[SHA256]: version.version for version in versions}
        for version in versions:
            name, model_id = f"{model.name} version {version.version}", model_of(version)
            same = newest[version.tags[SHA256]]
            remedy = (
                f"version {same} has the same file, so this one can be deleted" if same != version.version else None
            )
            if model_id is None or not has_file(client, model_id):
                remedy = remedy or f"if models/{model.name} has it, sync registers it again"
                yield f"{name}: its file is not in the store; {remedy}"
            elif not runs.is_active(client, version.run_id):
                yield f"{name}: its run {version.run_id} is deleted; {remedy or 'it can be served, but not traced'}"


def _in_runs(client: MlflowClient) -> Iterator[str]:
    for experiment in client.search_experiments(filter_string="name LIKE 'convzoo/%'"):
        for run in runs.mark_dead_runs(client, experiment.experiment_id):
            yield f"run {run.info.run_name} of {experiment.name}: its process died; now marked as KILLED"
        folder = store.local_folder(experiment.artifact_location, client.tracking_uri)
        if folder is None or not folder.is_dir():
            continue
        existing = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=50_000)
        names = {run.info.run_id for run in existing} | {"models"}
        for orphan in sorted(path for path in folder.iterdir() if path.name not in names):
            yield f"{orphan}: belongs to no run of {experiment.name}; it can be removed"
