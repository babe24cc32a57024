"""Completes the MLflow run of a training with everything that models/NETWORK holds."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from convzoo.tracking import runs  # before mlflow, which reads environment variables that it sets

# isort: split
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from PIL import Image, ImageSequence

from convzoo.files import sha256_of
from convzoo.lineage import commits
from convzoo.lineage.record import RECORD, training_params
from convzoo.settings.load import read_params
from convzoo.shipping.network_files import NetworkFiles, synthetic_note
from convzoo.tracking.labels import changed_params, command_tags, run_name, run_params, user_name
from convzoo.tracking.registered import SHA256

SOURCE = "convzoo.source"
ARTIFACTS_SHA256 = "convzoo.artifacts_sha256"
BACKFILLED, COMPLETED = "convzoo.backfilled", "convzoo.completed"  # tags of runs whose times are not the training's

INDEX = "index.html"  # of the data docs, whose other files have new names every time

FRAMES = 12  # at most, of an animation
# The images of a network that MLflow's image grid shows, by their name there: one per epoch, or one for the last epoch.
ANIMATIONS = {"generated": "plots/progress.gif"}
FINAL = {"confusion": "plots/confusion.png", "reconstructions": "plots/reconstructions.png"}


class Picture(NamedTuple):
    """An image for MLflow's image grid, its name and its epoch."""

    key: str
    epoch: int
    image: Image.Image


def complete_run(client: MlflowClient, files: NetworkFiles, lineage: dict[str, Any]) -> Run:
    """The finished run of this training, with what the files hold and the run lacks; a new one if there is none."""
    run = _run_of(client, files, lineage)
    runs.add_params(client, run, run_params(files.identity))
    test = {"test": files.splits["test"]} if files.splits else {}
    runs.add_data(client, run, files.identity["data"] | test)
    _add_metrics(client, run, files)
    digest = _add_artifacts(client, run, files, lineage)
    tags = {SOURCE: files.source.get("name"), runs.NOTE: synthetic_note(files)}
    tags |= {SHA256: files.sha256, ARTIFACTS_SHA256: digest}
    runs.add_tags(client, run, {key: value for key, value in tags.items() if value})
    if run.info.status != "FINISHED":
        runs.add_tags(client, run, {COMPLETED: "true"})  # so that its end is not taken for the end of the training
        client.set_terminated(run.info.run_id, "FINISHED")
    return client.get_run(run.info.run_id)


def pictures(files: NetworkFiles) -> Iterator[Picture]:
    """The images of models/NETWORK that its family writes, in the order of epochs."""
    for key, name in ANIMATIONS.items():
        if files.folder.joinpath(name).is_file():
            yield from _frames(files, key, name)
    for key, name in FINAL.items():
        if files.folder.joinpath(name).is_file():
            with Image.open(files.folder / name) as image:
                yield Picture(key, max(files.history), image.convert("RGB"))


def _run_of(client: MlflowClient, files: NetworkFiles, lineage: dict[str, Any]) -> Run:
    experiment, fingerprint = runs.experiment_of(client, files.network), files.identity["fingerprint"]
    existing = runs.runs_of(client, experiment, fingerprint)
    if existing:
        return _finished(existing)
    deleted = runs.runs_of(client, experiment, fingerprint, ViewType.DELETED_ONLY)
    if deleted:  # it knows more about the training than a new run could
        return runs.restore_run(client, _finished(deleted))
    tags = {"convzoo.fingerprint": fingerprint, BACKFILLED: "true", "mlflow.user": user_name()}
    tags |= {"convzoo.profile": str(read_params().values.get("profile"))} | command_tags()
    differences = changed_params(files.network, training_params(lineage))
    name = run_name(differences, "from files", (commits.head() or "")[:7])
    return runs.create_run(client, experiment, tags, name)


def _finished(existing: list[Run]) -> Run:
    """The first finished run, or the first of all."""
    return next((run for run in existing if run.info.status == "FINISHED"), existing[0])


def _add_metrics(client: MlflowClient, run: Run, files: NetworkFiles) -> None:
    logged = runs.logged_steps(client, run, {key for row in files.history.values() for key in row})
    rows = {
        step: {key: value for key, value in row.items() if (key, step) not in logged}
        for step, row in files.history.items()
    }
    runs.add_metrics(client, run.info.run_id, rows)
    changed = {key: value for key, value in files.numbers.items() if run.data.metrics.get(key) != value}
    runs.add_metrics(client, run.info.run_id, {0: changed})


def _add_artifacts(client: MlflowClient, run: Run, files: NetworkFiles, lineage: dict[str, Any]) -> str:
    """Log pictures, files and the lineage, if the run lacks them or they changed; a digest of their contents."""
    digest, logged = _digest(files, lineage), run.data.tags.get(ARTIFACTS_SHA256)
    run_id = run.info.run_id
    _log_pictures(client, run_id, files, is_changed=logged not in (None, digest))
    artifacts = [*_artifacts(files)]
    for file, folder in artifacts if logged != digest else _not_stored(run, artifacts):
        client.log_artifact(run_id, str(file), folder)
    if logged != digest or _as_json(read_record(run)) != _as_json(lineage):
        client.log_dict(run_id, lineage, RECORD)
    return digest


def read_record(run: Run) -> dict[str, Any] | None:
    """The lineage that is stored with a run; None if it has none that can be read."""
    return read_stored_json(f"{run.info.artifact_uri}/{RECORD}")


def read_stored_json(uri: str) -> dict[str, Any] | None:
    """The content of a JSON artifact; None if it cannot be read."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            return json.loads(Path(download_artifacts(artifact_uri=uri, dst_path=folder)).read_text(encoding="utf-8"))
    except (MlflowException, OSError, ValueError):
        return None


def _not_stored(run: Run, artifacts: list[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    """Those of the artifacts that the store lost or has with another size; a folder is judged by its index.html."""
    places = {f"{folder}/{file.name}" if file.is_dir() else folder for file, folder in artifacts}
    sizes = {
        f"{place}/{PurePosixPath(entry.path).name}": entry.file_size
        for place in places
        for entry in list_artifacts(artifact_uri=f"{run.info.artifact_uri}/{place}")
    }
    for file, folder in artifacts:
        path = f"{folder}/{file.name}"
        if file.is_dir():
            is_stored = f"{path}/{INDEX}" in sizes or not (file / INDEX).is_file()
        else:
            is_stored = sizes.get(path) in (file.stat().st_size, None) and path in sizes
        if not is_stored:
            yield file, folder


def _artifacts(files: NetworkFiles) -> Iterator[tuple[Path, str]]:
    """The files (or folders) that a run shows besides numbers, and the folder of each in MLflow."""
    dataset = files.export["dataset"]
    for name in ("plots", "extra", "parts"):
        for file in sorted(files.folder.joinpath(name).rglob("*")):
            if file.is_file() and file.suffix not in (".npy", ".safetensors"):  # what plots and parts were made from
                yield file, file.parent.relative_to(files.folder).as_posix()
    yield files.folder / "evaluation.json", "evaluation"
    yield files.folder / "export.json", "evaluation"
    for file in (
        Path("reports/data", f"{dataset}.json"),
        Path("data/augmented", dataset, "preview.png"),
        Path("reports/data_docs"),
    ):
        if file.exists():
            yield file, "data"


def _digest(files: NetworkFiles, lineage: dict[str, Any]) -> str:
    """A digest of the artifacts' names and bytes, without the data docs, which hold times, and of the lineage."""
    lines = [_as_json(lineage)]
    lines += [f"{folder}/{file.name} {sha256_of(file)}" for file, folder in _artifacts(files) if file.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _as_json(lineage: dict[str, Any] | None) -> str:
    return json.dumps(lineage, sort_keys=True)


def _log_pictures(client: MlflowClient, run_id: str, files: NetworkFiles, is_changed: bool) -> None:
    """Log the pictures that the run lacks; if the artifacts changed, those of the evaluation again."""
    stored = {entry.path for entry in client.list_artifacts(run_id, "images")}
    # MLflow writes the compressed file last, so a picture with one is complete, unless a file was removed.
    complete = {
        path.rpartition("+timestamp+")[0]
        for path in stored
        if path.endswith("+compressed.webp") and path.replace("+compressed.webp", ".png") in stored
    }
    for key, epoch, image in pictures(files):
        if f"images/{key}+step+{epoch}" not in complete or (is_changed and key in FINAL):
            client.log_image(run_id, image, key=key, step=epoch)


def _frames(files: NetworkFiles, key: str, name: str) -> Iterator[Picture]:
    """The first, the last and evenly spaced frames of an animation, which has one for each epoch with a val_kid."""
    epochs = [epoch for epoch, row in sorted(files.history.items()) if "val_kid" in row]
    file = files.folder / name
    with Image.open(file) as animation:
        frames = ImageSequence.all_frames(animation)
    if len(frames) != len(epochs):
        problem = f"has {len(frames)} images, expected {len(epochs)}, one for each epoch with a finite val_kid"
        print(f"warning: {file}: {problem}; MLflow's image grid is shown without them", flush=True)
        return
    steps = min(FRAMES, len(frames)) - 1
    for number in range(steps + 1):
        chosen = round(number * (len(frames) - 1) / max(steps, 1))
        yield Picture(key, epochs[chosen], frames[chosen].convert("RGB").quantize(256))
