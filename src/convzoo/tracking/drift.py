"""Logs the results of `convzoo drift` as runs of the MLflow experiment `drift/NETWORK`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convzoo.processes import process_name
from convzoo.tracking import runs, store  # before mlflow, which reads environment variables that it sets

# isort: split
from mlflow import MlflowClient
from mlflow.entities import Run

from convzoo.tracking.labels import user_name

NOTE = "One run per `convzoo drift {}`, named by its time: the images that a server received, compared with val."


def log_drift(found: Mapping[str, Any], page: Path) -> str:
    """Log metrics and the page as a finished run; return its name. Raises TrackingError if the store fails."""
    network = found["network"]
    with store.failures_raised_as(f"{network}: the drift cannot be logged"):
        client = store.use_store()
        experiment = runs.experiment_of(client, network, "drift", NOTE)
        runs.mark_dead_runs(client, experiment)
        name = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        tags = {"mlflow.user": user_name(), runs.PROCESS: process_name()}
        with _ended(client, runs.create_run(client, experiment, tags, name)) as run:
            _fill(client, run, found, page)
    return name


@contextmanager
def _ended(client: MlflowClient, run: Run) -> Iterator[Run]:
    """The run, which is finished at the end of the block, or failed after an error."""
    try:
        yield run
    except BaseException:
        with suppress(Exception):  # the store may fail again: then the next run marks this one
            client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED")


def _fill(client: MlflowClient, run: Run, found: Mapping[str, Any], page: Path) -> None:
    runs.add_params(client, run, {key: found[key] for key in ("version", "sha256", "since", "level")})
    metrics = {
        "drifted": float(bool(found["drifted"])),
        "measurements_drifted": float(len(found["drifted"])),
        "images": float(found["images"]),
    }
    for row in found["comparisons"]:
        metrics |= {f"distance_{row['name']}": row["distance"], f"p_value_{row['name']}": row["adjusted"]}
    runs.add_metrics(client, run.info.run_id, {0: metrics})
    client.log_artifact(run.info.run_id, str(page))
