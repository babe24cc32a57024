"""MLflow runs: found by their training's fingerprint, opened again after a stop, and filled without duplicates."""

import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from convzoo.tracking import store  # before mlflow, which reads environment variables that it sets

# isort: split
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from convzoo.processes import is_alive
from convzoo.tracking.labels import param_text
from convzoo.tracking.registered import existing_run

DIGEST_LENGTH = 32  # characters of a data set's digest in MLflow, which takes 36 at most
METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100  # MLflow's limits
COLOUR = "mlflow.runColor"  # the run tag that MLflow's UI takes a colour from
# Colours that differ from one another on white and on black.
COLOURS = ("#2272b4", "#e4670c", "#2e9e5b", "#c2365f", "#8a63d2", "#12a0a6", "#a3781b", "#7d8590", "#d67ab1", "#5b6dcd")
RUNS_COLOURED = 1000  # the newest runs of an experiment, which a new one should not be confused with
NOTE = "mlflow.note.content"  # the tag that MLflow shows as the description of a run or an experiment
EXPERIMENT_KIND = "mlflow.experimentKind"  # the tag by which MLflow chooses the pages of an experiment
EXPERIMENT_NOTE = "One run per training of {}, named by what differs from the commit's params.yaml; a step is an epoch."
TRAININGS = "convzoo"  # the kind of the experiments with a run per training
PROCESS = "convzoo.process"  # the run tag that identifies the process that trains
CONTEXT = "mlflow.data.context"  # the tag of a run's data set that names the split


def experiment_of(client: MlflowClient, network: str, kind: str = TRAININGS, note: str = EXPERIMENT_NOTE) -> str:
    """The ID of the experiment KIND/NETWORK. Creates it if it is missing, restores it if it was deleted.

    `note` is its description; one that the user wrote stays.
    """
    name = f"{kind}/{quote(network, safe='')}"
    tags = {NOTE: note.format(network), EXPERIMENT_KIND: "custom_model_development"}
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # No network is called NETWORK@KIND, so that every experiment has a folder of its own.
        folder = network if kind == TRAININGS else f"{network}@{kind}"
        location = _artifact_location(client.tracking_uri, folder)
        try:
            return client.create_experiment(name, artifact_location=location, tags=tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise
            experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    for key in tags.keys() - experiment.tags.keys():  # an experiment of an older convzoo
        client.set_experiment_tag(experiment.experiment_id, key, tags[key])
    return experiment.experiment_id


def runs_of(client: MlflowClient, experiment: str, fingerprint: str, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
    """The runs of a training, newest first; by default without the deleted ones."""
    return client.search_runs(
        [experiment],
        filter_string=f"tags.`convzoo.fingerprint` = '{fingerprint}'",
        run_view_type=view,
        order_by=["attributes.start_time DESC"],
    )


def is_active(client: MlflowClient, run_id: str | None) -> bool:
    """Whether the store has a run, and it is not deleted."""
    run = existing_run(client, run_id)
    return run is not None and run.info.lifecycle_stage == LifecycleStage.ACTIVE


def restore_run(client: MlflowClient, run: Run) -> Run:
    """Bring a deleted run back; says so."""
    client.restore_run(run.info.run_id)
    print(f"run {run.info.run_name}: was deleted in MLflow, now restored", flush=True)
    return client.get_run(run.info.run_id)


def open_run(client: MlflowClient, network: str, fingerprint: str, tags: Mapping[str, str], name: str) -> Run:
    """The newest run of a training if it is unfinished, set to RUNNING again; otherwise a new run."""
    experiment = experiment_of(client, network)
    tags = {**tags, "convzoo.fingerprint": fingerprint}
    mark_dead_runs(client, experiment)
    runs = runs_of(client, experiment, fingerprint)
    if not runs or runs[0].info.status == "FINISHED":
        return create_run(client, experiment, tags, name)
    client.update_run(runs[0].info.run_id, status="RUNNING")
    add_tags(client, runs[0], tags)
    return runs[0]


def create_run(client: MlflowClient, experiment: str, tags: Mapping[str, str], name: str) -> Run:
    """A new run, with the colour that the fewest runs of the experiment have.

    MLflow derives colours from run IDs, so that two of a few runs often look the same in its charts.
    """
    existing = client.search_runs([experiment], max_results=RUNS_COLOURED)
    used = Counter(run.data.tags.get(COLOUR) for run in existing)
    colour = min(COLOURS, key=lambda candidate: used[candidate])
    return client.create_run(experiment, tags={**tags, COLOUR: colour}, run_name=name)


def mark_dead_runs(client: MlflowClient, experiment: str) -> list[Run]:
    """Set the runs to KILLED whose process on this machine has died, and return them."""
    filter_string = f"attributes.status = 'RUNNING' AND tags.`{PROCESS}` LIKE '{platform.node()} %'"
    dead = [run for run in client.search_runs([experiment], filter_string) if not is_alive(run.data.tags[PROCESS])]
    for run in dead:
        client.set_terminated(run.info.run_id, "KILLED")
    return dead


def add_params(client: MlflowClient, run: Run, params: Mapping[str, Any]) -> None:
    """Log the params that the run lacks, written as in params.yaml. A param that is logged cannot change in MLflow."""
    missing = [Param(key, param_text(value)) for key, value in params.items() if key not in run.data.params]
    for start in range(0, len(missing), PARAMS_PER_CALL):
        client.log_batch(run.info.run_id, params=missing[start : start + PARAMS_PER_CALL])


def add_tags(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> None:
    """Set the tags that the run lacks or that have another value."""
    changed = [RunTag(key, value) for key, value in tags.items() if run.data.tags.get(key) != value]
    if changed:
        client.log_batch(run.info.run_id, tags=changed)


def add_metrics(client: MlflowClient, run_id: str, rows: Mapping[int, Mapping[str, float]]) -> None:
    """Log metrics by step."""
    now = int(time.time() * 1000)
    metrics = [Metric(key, float(value), now, step) for step, row in rows.items() for key, value in row.items()]
    for start in range(0, len(metrics), METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])


def logged_steps(client: MlflowClient, run: Run, keys: set[str]) -> set[tuple[str, int]]:
    """The pairs of metric and step that the run has, of the metrics `keys`."""
    logged = keys & set(run.data.metrics)
    return {(key, metric.step) for key in logged for metric in client.get_metric_history(run.info.run_id, key)}


def add_data(client: MlflowClient, run: Run, data: Mapping[str, str]) -> None:
    """Log the data sets of a run, one per split: the name of the set under `name`, and the sha256 of each split."""
    name = data["name"]
    logged = {(tag.value, entry.dataset.digest) for entry in run.inputs.dataset_inputs for tag in entry.tags}
    inputs = []
    for split, digest in sorted(data.items()):
        if split == "name" or (split, digest[:DIGEST_LENGTH]) in logged:
            continue
        folder = f"data/augmented/{name}" if split == "augmented" else f"data/prepared/{name}/{split}"
        dataset = Dataset(name, digest[:DIGEST_LENGTH], "local", json.dumps({"uri": folder}))
        inputs.append(DatasetInput(dataset, [InputTag(CONTEXT, split)]))
    if inputs:
        client.log_inputs(run.info.run_id, datasets=inputs)


def digests_of(run: Run, split: str) -> set[str]:
    """The digests of the data sets that were logged for a split, each DIGEST_LENGTH characters of a sha256."""
    return {
        entry.dataset.digest
        for entry in run.inputs.dataset_inputs
        if (CONTEXT, split) in {(tag.key, tag.value) for tag in entry.tags}
    }


def machine_load(client: MlflowClient, run_id: str) -> Callable[[], dict[str, float]]:
    """A function that returns the machine's load (processor, memory, disk, network, GPU) since its last call."""
    monitor = SystemMetricsMonitor(run_id, tracking_uri=client.tracking_uri)  # its thread is never started

    def load() -> dict[str, float]:
        monitor.collect_metrics()
        metrics = {f"system/{key}": value for key, value in monitor.aggregate_metrics().items()}
        for part in monitor.monitors:
            part.clear_metrics()
        return metrics

    return load


def _artifact_location(uri: str, network: str) -> str | None:
    if uri.startswith(("http://", "https://")):
        return None  # the server decides
    return f"{store.artifact_root(uri)}/{quote(network, safe='')}"
