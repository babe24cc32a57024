"""Logged models: an exported file as MLflow keeps it, with its signature, its tags and the metrics measured on it."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convzoo.tracking import store  # before mlflow, which reads environment variables that it sets

# isort: split
import mlflow
import mlflow.onnx
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types.schema import Schema, TensorSpec

from convzoo.files import sha256_of
from convzoo.shipping.graph import load_graph
from convzoo.shipping.network_files import NetworkFiles

EXPORTED = "extra_files/model.onnx"  # in a logged model, the file as it was exported
SHA256 = "convzoo.model_sha256"  # the tag of runs, models and versions with the sha256 of that file
EXAMPLES = 2  # images in a model's input example


def model_of(version: ModelVersion) -> str:
    """The ID of the logged model of a version."""
    return version.source.removeprefix("models:/")


def has_file(client: MlflowClient, model_id: str) -> bool:
    """Whether the store has the exported file of a logged model."""
    return EXPORTED in {entry.path for entry in client.list_logged_model_artifacts(model_id, "extra_files")}


def download(client: MlflowClient, model_id: str, folder: Path) -> Path | None:
    """The exported file of a logged model, downloaded to `folder` from a server; None if the store lost it."""
    if not has_file(client, model_id):
        return None
    location = client.get_logged_model(model_id).artifact_location
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=f"{location}/{EXPORTED}", dst_path=str(folder)))


def stored_sha256(client: MlflowClient, model_id: str) -> str | None:
    """The sha256 of the exported file that the store has; None if it lost it."""
    with tempfile.TemporaryDirectory() as folder:
        file = download(client, model_id, Path(folder))
        return sha256_of(file) if file else None


def log_model(client: MlflowClient, files: NetworkFiles, run: Run, tags: dict[str, str]) -> str:
    """Log the exported file as a model of the run, unless an interrupted registration already did; its ID.

    Raises TrackingError if the store then has another file.
    """
    for model in client.search_logged_models(
        [run.info.experiment_id], filter_string=f"tags.`{SHA256}` = '{files.sha256}'"
    ):
        if model.status == "READY" and stored_sha256(client, model.model_id) == files.sha256:
            return model.model_id
    model = client.create_logged_model(
        run.info.experiment_id, name="model", source_run_id=run.info.run_id, tags=tags, params=run.data.params
    )
    mlflow.onnx.log_model(
        load_graph(files.model),
        name="model",
        model_id=model.model_id,  # without run_id, with which MLflow would add the machine's load to the model
        signature=_signature(files.export),
        input_example=_example(files.export),
        pip_requirements=[*mlflow.onnx.get_default_pip_requirements(), f"numpy=={np.__version__}"],
        # MLflow serializes the model again; this is the file that was exported and measured.
        extra_files=[str(file.resolve()) for file in (files.model, files.folder / "export.json")],
        save_as_external_data=False,
        onnx_execution_providers=["CPUExecutionProvider"],  # as it was measured
    )
    stored = stored_sha256(client, model.model_id)
    if stored != files.sha256:
        raise store.TrackingError(
            f"{files.network}: the store keeps another file than {files.model} (sha256 {stored}, expected "
            f"{files.sha256}); check the artifacts of {store.tracking_uri()} and run: convzoo sync"
        )
    return model.model_id


def link_model(client: MlflowClient, run: Run, model_id: str, files: NetworkFiles) -> None:
    """Make the model an output of the run, and add its metrics with the data sets that they were measured on."""
    run_id = run.info.run_id
    if model_id not in {output.model_id for output in run.outputs.model_outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=max(files.history))])
    logged = {
        (metric.key, metric.value)
        for metric in client.get_logged_model(model_id).metrics or ()
        if metric.run_id == run_id
    }
    datasets = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    missing = []
    for key, value in files.numbers.items():
        if (key, value) in logged:
            continue
        of_run = client.get_metric_history(run_id, key)[-1]  # MLflow does not keep the same row twice
        dataset = datasets.get(key.partition("_")[0])
        measured_on = {"dataset_name": dataset.name, "dataset_digest": dataset.digest} if dataset else {}
        missing.append(Metric(key, value, of_run.timestamp, of_run.step, model_id=model_id, **measured_on))
    if missing:
        client.log_batch(run_id, metrics=missing)


def _signature(export: Mapping[str, Any]) -> ModelSignature:
    """Without names, so that the model takes a plain array or nested lists."""
    inputs, outputs = (
        Schema([TensorSpec(np.dtype(end["dtype"]), tuple(-1 if size is None else size for size in end["shape"]))])
        for end in (export["input"], export["output"])
    )
    return ModelSignature(inputs=inputs, outputs=outputs)


def _example(export: Mapping[str, Any]) -> np.ndarray:
    """A few val images for a network that takes images of their size, otherwise zeros."""
    shape = [EXAMPLES if size is None else size for size in export["input"]["shape"]]
    file = Path("data/prepared", export["dataset"], "val", "images.npy")
    if export["input"]["dtype"] == "uint8" and len(shape) == 4 and file.is_file():
        images = np.array(np.load(file, mmap_mode="r")[:EXAMPLES])
        if list(images.shape[1:]) == shape[1:]:
            return images
    return np.zeros(shape, export["input"]["dtype"])
