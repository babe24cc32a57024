"""Logged models: an exported file as MLflow keeps it, with its signature, its tags and the metrics measured on it."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from convzoo.tracking import store  # before mlflow, which reads environment variables that it sets

# isort: split
import mlflow
import mlflow.onnx
import numpy as np
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.entities import LoggedModelOutput, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types.schema import Schema, TensorSpec

from convzoo.data.arrays import has_images, open_images
from convzoo.files import sha256_of
from convzoo.shipping.graph import LABEL, PROBABILITY, load_graph, with_labels
from convzoo.shipping.network_files import NetworkFiles, has_labels
from convzoo.tracking import runs
from convzoo.tracking.registered import DESCRIPTION, EXPORTED, SERVED, SHA256, is_by_hand

EXAMPLES = 2  # images in a model's input example


def download(client: MlflowClient, version: ModelVersion, folder: Path) -> Path | None:
    """The ONNX file of a version, downloaded to `folder` from a server; None if the store does not have it.

    Its export.json is put beside it if the store has that. A version that was registered by hand may also be a folder
    with a model.onnx, or the file itself.
    """
    location = client.get_model_version_download_uri(version.name, version.version).rstrip("/")
    places = [f"{location}/{name}" for name in (EXPORTED, SERVED)]
    if is_by_hand(version) and location.endswith(".onnx"):
        places.append(location)
    for place in filter(_exists, places):
        if _exists(f"{location}/{DESCRIPTION}"):
            download_artifacts(artifact_uri=f"{location}/{DESCRIPTION}", dst_path=str(folder))
        return Path(download_artifacts(artifact_uri=place, dst_path=str(folder)))
    return None


def _exists(uri: str) -> bool:
    """Whether the store has a file at this address."""
    above, _, name = uri.rpartition("/")
    return name in {PurePosixPath(entry.path).name for entry in list_artifacts(artifact_uri=above) if not entry.is_dir}


def has_file(client: MlflowClient, model_id: str, sha256: str) -> bool:
    """Whether the store has a logged model with the files that are needed to use it; trusts a kept exported file."""
    exported = _exported_file(client, model_id)
    return exported is not None and (exported.endswith(EXPORTED) or is_whole(client, model_id, sha256))


def is_whole(client: MlflowClient, model_id: str, sha256: str) -> bool:
    """Whether the store has a logged model with the files that are needed to use it, and the exported one intact."""
    exported = _exported_file(client, model_id)
    if exported is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        return sha256_of(Path(download_artifacts(artifact_uri=exported, dst_path=folder))) == sha256


def _exported_file(client: MlflowClient, model_id: str) -> str | None:
    """The exported file of a logged model that is not deleted and has the files that are needed to use it."""
    try:
        location = client.get_logged_model(model_id).artifact_location
        # MLflow lists the artifacts of deleted models too.
        names = {entry.path for entry in client.list_logged_model_artifacts(model_id)}
        names |= {entry.path for entry in client.list_logged_model_artifacts(model_id, "extra_files")}
    except MlflowException as error:
        if store.is_missing(error):
            return None
        raise
    if not {"MLmodel", SERVED} <= names:
        return None
    return f"{location}/{EXPORTED if EXPORTED in names else SERVED}"


def log_model(client: MlflowClient, files: NetworkFiles, run: Run, tags: dict[str, str]) -> str:
    """Log the exported file as a model of the run, unless an interrupted registration already did; its ID.

    Raises TrackingError if the store then has another file.
    """
    for model in client.search_logged_models(
        [run.info.experiment_id], filter_string=f"tags.`{SHA256}` = '{files.sha256}'"
    ):
        is_ready = model.status == "READY" and runs.is_active(client, model.source_run_id)
        if is_ready and is_whole(client, model.model_id, files.sha256):
            return model.model_id
    model = client.create_logged_model(
        run.info.experiment_id, name="model", source_run_id=run.info.run_id, tags=tags, params=run.data.params
    )
    graph, kept = _served(files), [files.folder / "export.json"]
    if graph.SerializeToString() != files.model.read_bytes():
        kept.append(files.model)
    with tempfile.TemporaryDirectory() as folder:
        # Copies, since MLflow refuses links that lead elsewhere, which DVC makes with cache.type symlink.
        extra = [shutil.copy(file, folder) for file in kept]
        mlflow.onnx.log_model(
            graph,
            name="model",
            model_id=model.model_id,  # without run_id, with which MLflow would add the machine's load to the model
            signature=_signature(files.export),
            input_example=_example(files.export),
            pip_requirements=[*mlflow.onnx.get_default_pip_requirements(), f"numpy=={np.__version__}"],
            extra_files=extra,
            save_as_external_data=False,
            onnx_execution_providers=["CPUExecutionProvider"],  # as it was measured
        )
    if not is_whole(client, model.model_id, files.sha256):
        raise store.TrackingError(
            f"{files.network}: the store returns another file than {files.model}, which was logged, expected the same "
            f"(sha256 {files.sha256}); check the artifacts of {store.tracking_uri()} and run: convzoo sync"
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


def _served(files: NetworkFiles) -> Any:
    """The exported graph; that of a classifier names the most probable class too."""
    graph = load_graph(files.model)
    return with_labels(graph, files.export["classes"]) if has_labels(files.export) else graph


def _signature(export: Mapping[str, Any]) -> ModelSignature:
    """The input has no name, so that the model takes a plain array or nested lists."""
    inputs, outputs = (
        (np.dtype(end["dtype"]), tuple(-1 if size is None else size for size in end["shape"]))
        for end in (export["input"], export["output"])
    )
    named = [TensorSpec(*outputs, export["output"]["name"])]
    if has_labels(export):
        best = [TensorSpec(np.dtype(str), (-1,), LABEL), TensorSpec(np.dtype(np.float32), (-1,), PROBABILITY)]
        named = best + named
    return ModelSignature(inputs=Schema([TensorSpec(*inputs)]), outputs=Schema(named))


def _example(export: Mapping[str, Any]) -> np.ndarray:
    """A few val images for a network that takes images of their size, otherwise zeros."""
    shape = [EXAMPLES if size is None else size for size in export["input"]["shape"]]
    folder = Path("data/prepared", export["dataset"], "val")
    if export["input"]["dtype"] == "uint8" and len(shape) == 4 and has_images(folder):
        images = np.array(open_images(folder)[:EXAMPLES])
        if list(images.shape[1:]) == shape[1:]:
            return images
    return np.zeros(shape, export["input"]["dtype"])
