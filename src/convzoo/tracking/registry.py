"""From a network's files to mlflow: its run completed, its model a version, the alias `candidate` on it."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convzoo.tracking import store  # before mlflow: what it reads when it is imported is set there

# isort: split
import mlflow
import mlflow.onnx
import numpy as np
import onnx
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types.schema import Schema, TensorSpec

from convzoo.cards.card import COMPLETED, UNKNOWN, Made, description, known_of, write_card
from convzoo.errors import without_account
from convzoo.files import sha256_of, write_json
from convzoo.lineage import commits
from convzoo.lineage.record import DESCENT, descent, locked_params
from convzoo.settings.load import read_params
from convzoo.shipping.network_files import Files, drawn, read_files
from convzoo.tracking.aliases import CANDIDATE, set_alias
from convzoo.tracking.live import made_by, origin, run_params, tracking_is_off
from convzoo.tracking.measured import data_of, link_model
from convzoo.tracking.models import SHA256, model_of, shipped_file
from convzoo.tracking.names import changed_params, run_name
from convzoo.tracking.pictures import log_pictures

SOURCE, NOTE = "convzoo.source", "mlflow.note.content"  # the note is what mlflow shows as a run's description
EXAMPLES = 2  # images of val in the model's input example
MODEL = "A network of convzoo: a version for each file that was exported, each with its card."


def register(network: str, warn: bool = False) -> str:
    """Bring models/NETWORK into mlflow, write card.md and registration.json, and say in a line which version it is.

    Doing it again changes nothing. Raises ConvzooError for a missing file and a model that is not the exported one,
    and TrackingError for a store that fails; with `warn` that is a line, too, and registration.json is written. The
    card is written in any case, without what only the store knows.
    """
    files = read_files(network)
    try:
        told, made = _brought(files)
    except store.TrackingError as error:
        write_card(files, UNKNOWN)
        if not warn:
            raise
        told, made = f"warning: {without_account(str(error))}; the pipeline goes on", UNKNOWN
    write_card(files, made)
    registration = {"model": network, "model_sha256": files.sha256, "fingerprint": files.identity["fingerprint"]}
    write_json(files.folder / "registration.json", registration)
    return told


def _brought(files: Files) -> tuple[str, Made]:
    if tracking_is_off():
        return f"{files.network}: not registered, since CONVZOO_TRACKING is off", UNKNOWN
    try:
        with store.locked(store.beside("register")):
            return _register(files, store.use_store())
    except (*store.FAILURES, store.TrackingError) as error:
        told = isinstance(error, store.TrackingError)
        reason = str(error) if told else f"{store.tracking_uri()}: {store.first_line(error)}"
        raise store.TrackingError(
            f"{files.network}: not registered ({reason}); when that is mended run `convzoo sync`, or set "
            "CONVZOO_TRACKING=off to go without"
        ) from error


def _register(files: Files, client: MlflowClient) -> tuple[str, Made]:
    experiment = store.experiment_of(client, files.network)
    run = _complete_run(files, client, experiment)
    profile = run.data.tags.get("convzoo.profile", "unknown")
    version = _version_of(files, client)
    new = version is None
    if version is None:
        version = _new_version(files, client, run, profile)
    link_model(client, run, model_of(version), files)
    for key, value in _measured_tags(files).items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(files.network, version.version, key, value)
    made = known_of(run, version.version)
    card = description(files, made, version.description)
    if card != version.description:
        client.update_model_version(files.network, version.version, card)
    told = f"version {version.version} registered" if new else f"is version {version.version} already"
    return f"{files.network}: {told}, {_move_alias(files, client, version)}", made


def _complete_run(files: Files, client: MlflowClient, experiment: str) -> Run:
    """The run of this training with all that the files say; one is made where there is none."""
    fingerprint = files.identity["fingerprint"]
    found = store.runs_of(client, experiment, fingerprint)
    finished = [run for run in found if run.info.status == "FINISHED"]
    if found:
        run = (finished or found)[0]
    else:
        tags = {"convzoo.fingerprint": fingerprint, "convzoo.backfilled": "true"}
        tags |= {"convzoo.profile": str(read_params().values.get("profile")), "mlflow.user": origin()["mlflow.user"]}
        tags |= made_by()
        commit = (commits.head() or "")[:7]
        name = run_name(files.network, changed_params(files.network, locked_params(files)), commit, "from files")
        run = client.create_run(experiment, tags=tags, run_name=name)
    run_id = run.info.run_id
    store.add_params(client, run, run_params(files.identity))
    store.add_data(client, run, data_of(files))
    known = store.steps_of(client, run, {key for row in files.history.values() for key in row})
    rows = {
        step: {key: value for key, value in row.items() if (key, step) not in known}
        for step, row in files.history.items()
    }
    store.add_metrics(client, run_id, rows)
    changed = {key: value for key, value in files.measured.items() if run.data.metrics.get(key) != value}
    store.add_metrics(client, run_id, {0: changed})
    told_of = descent(files)
    digest, before = _digest(files, told_of), run.data.tags.get("convzoo.artifacts_sha256")
    log_pictures(client, run_id, files, anew=before not in (None, digest))
    if before != digest:
        for file, place in _artifacts(files):
            client.log_artifact(run_id, str(file), place)
        client.log_dict(run_id, told_of, DESCENT)
    told = {SOURCE: files.source.get("name"), NOTE: drawn(files)}
    told |= {SHA256: files.sha256, "convzoo.artifacts_sha256": digest}
    store.add_tags(client, run, {key: value for key, value in told.items() if value})
    if run.info.status != "FINISHED":
        store.add_tags(client, run, {COMPLETED: "true"})  # so that nobody takes now for the end of the training
        client.set_terminated(run_id, "FINISHED")
    return client.get_run(run_id)


def _version_of(files: Files, client: MlflowClient) -> ModelVersion | None:
    """The newest version of these bytes whose file in the registry is whole."""
    found = client.search_model_versions(f"name = '{files.network}' AND tags.`{SHA256}` = '{files.sha256}'")
    for version in sorted(found, key=lambda version: -int(version.version)):
        if _stored_sha256(client, model_of(version)) == files.sha256:
            return version
    return None


def _new_version(files: Files, client: MlflowClient, run: Run, profile: str) -> ModelVersion:
    tags = {"convzoo.fingerprint": files.identity["fingerprint"], SHA256: files.sha256}
    model_id = _logged_model(files, client, run, tags)
    try:
        client.create_registered_model(files.network, description=MODEL)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags |= {SOURCE: files.source["name"]} if files.source else {}
    return client.create_model_version(
        files.network,
        source=f"models:/{model_id}",
        run_id=run.info.run_id,
        model_id=model_id,
        tags=tags | {"convzoo.profile": profile} | _measured_tags(files),
    )


def _logged_model(files: Files, client: MlflowClient, run: Run, tags: dict[str, str]) -> str:
    """The id of the run's model in mlflow; one is there already where a registration was cut off after it."""
    for logged in client.search_logged_models(
        [run.info.experiment_id], filter_string=f"tags.`{SHA256}` = '{files.sha256}'"
    ):
        if logged.status == "READY" and _stored_sha256(client, logged.model_id) == files.sha256:
            return logged.model_id
    logged = client.create_logged_model(
        run.info.experiment_id, name="model", source_run_id=run.info.run_id, tags=tags, params=run.data.params
    )
    mlflow.onnx.log_model(
        onnx.load(files.model),
        name="model",
        model_id=logged.model_id,  # without run_id: mlflow would put the machine's load on the model
        signature=_signature(files.export),
        input_example=_example(files.export),
        pip_requirements=[*mlflow.onnx.get_default_pip_requirements(), f"numpy=={np.__version__}"],
        # As it ships, since mlflow writes a copy of its own, and what the export said of it.
        extra_files=[str(file.resolve()) for file in (files.model, files.folder / "export.json")],
        save_as_external_data=False,
        onnx_execution_providers=["CPUExecutionProvider"],  # as it was measured
    )
    stored = _stored_sha256(client, logged.model_id)
    if stored != files.sha256:
        raise store.TrackingError(
            f"{files.network}: the registry keeps another file than {files.model} (sha256 {stored}, expected "
            f"{files.sha256}); look at the artifacts of {store.tracking_uri()} and run: convzoo sync"
        )
    return logged.model_id


def _move_alias(files: Files, client: MlflowClient, version: ModelVersion) -> str:
    """Put `candidate` on the version, but not from an experiment of `dvc exp run`; what to say about it."""
    if os.environ.get("DVC_EXP_NAME"):
        return "aliases left alone in an experiment"
    aliases = client.get_registered_model(files.network).aliases
    before = aliases.get(CANDIDATE)
    if str(before) == str(version.version):
        return f"alias {CANDIDATE}"
    set_alias(client, files.network, CANDIDATE, str(version.version))
    return f"alias {CANDIDATE}" if before is None else f"alias {CANDIDATE} moved here from version {before}"


def _stored_sha256(client: MlflowClient, model_id: str) -> str | None:
    """The sha256 of the shipped file as the registry keeps it; None where it is not there."""
    with tempfile.TemporaryDirectory() as folder:
        file = shipped_file(client, model_id, Path(folder))
        return sha256_of(file) if file else None


def _measured_tags(files: Files) -> dict[str, str]:
    return {key: repr(value) for key, value in files.measured.items()}


def _signature(export: Mapping[str, Any]) -> ModelSignature:
    """Without names, so that a plain array or nested list is taken."""
    inputs, outputs = (
        Schema([TensorSpec(np.dtype(end["dtype"]), tuple(-1 if size is None else size for size in end["shape"]))])
        for end in (export["input"], export["output"])
    )
    return ModelSignature(inputs=inputs, outputs=outputs)


def _example(export: Mapping[str, Any]) -> np.ndarray:
    """A few images of val for a network that takes images, else zeros."""
    shape = [EXAMPLES if size is None else size for size in export["input"]["shape"]]
    images = Path("data/prepared", export["dataset"], "val", "images.npy")
    if export["input"]["dtype"] == "uint8" and len(shape) == 4 and images.is_file():
        found = np.array(np.load(images, mmap_mode="r")[:EXAMPLES])
        if list(found.shape[1:]) == shape[1:]:
            return found
    return np.zeros(shape, export["input"]["dtype"])


def _artifacts(files: Files) -> Iterator[tuple[Path, str]]:
    """What a run shows besides numbers: files (or a folder of pages) and where each goes."""
    dataset = files.export["dataset"]
    for name in ("plots", "extra", "parts"):
        for file in sorted(files.folder.joinpath(name).rglob("*")):
            if file.is_file() and file.suffix not in (".npy", ".safetensors"):  # what plots and parts were made from
                yield file, file.parent.relative_to(files.folder).as_posix()
    yield files.folder / "metrics.json", "evaluation"
    yield files.folder / "export.json", "evaluation"
    for file, place in (
        (Path("reports/data", f"{dataset}.json"), "data"),
        (Path("data/augmented", dataset, "preview.png"), "data"),
        (Path("reports/data_docs"), "data"),
    ):
        if file.exists():
            yield file, place


def _digest(files: Files, told_of: dict[str, Any]) -> str:
    """Over the artifacts' names and bytes, but for the data docs, which hold times, and over the descent."""
    lines = [json.dumps(told_of, sort_keys=True)]
    lines += [f"{place}/{file.name} {sha256_of(file)}" for file, place in _artifacts(files) if file.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
