"""Logs the results of `convzoo drift` as runs of the MLflow experiment `drift/NETWORK`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convzoo.tracking import runs, store
from convzoo.tracking.labels import user_name

NOTE = "One run per `convzoo drift {}`, named by its time: the images that a server received, compared with val."


def log_drift(found: Mapping[str, Any], page: Path) -> str:
    """Log metrics and the page as a finished run; return its name. Raises TrackingError if the store fails."""
    network = found["network"]
    with store.failures_raised_as(f"{network}: the drift cannot be logged"):
        client = store.use_store()
        experiment = runs.experiment_of(client, network, "drift", NOTE)
        name = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        run = runs.create_run(client, experiment, {"mlflow.user": user_name()}, name)
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
        client.set_terminated(run.info.run_id, "FINISHED")
    return name
