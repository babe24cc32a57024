"""A version of a network that is ready to answer: its file loaded and checked, and what else an answer needs."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.cards.tasks import task_of
from convzoo.data.image_files import ImageReader
from convzoo.errors import ConvzooError
from convzoo.files import check_sha256, read_json
from convzoo.serving.sources import PARTS, Release
from convzoo.shipping.likely_wrong import drawn_warnings
from convzoo.shipping.model import Model, run_in_batches
from convzoo.shipping.reference import REFERENCE, Reference, batch_size, read_reference

ENCODER = "parts/encoder.onnx"
REMEDY = "restore the file, or choose another version: convzoo models"

log = logging.getLogger("convzoo.serve")


class Watched(NamedTuple):
    """What the log measures of the images that a network gets, besides their statistics."""

    reference: Reference
    extractor: "ServedModel"  # of the features


class ServedModel(Model):
    """A Model that computes in the thread that calls it, and so several requests at once.

    A Model has the fixed threads of the evaluation, whose figures must be the same on every machine.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, threads=1)

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """The results for all inputs, computed in batches that bound the memory."""
        return run_in_batches(self, inputs, self.batch)

    @property
    def batch(self) -> int:
        """How many images the network gets at a time."""
        return batch_size(self.input.shape if len(self.input.shape) == 4 else self.output.shape)


@dataclass(frozen=True)
class Served:
    """A loaded version of a network."""

    release: Release
    sha256: str
    task: str  # predict, reconstruct or sample
    model: ServedModel
    encoder: ServedModel | None
    export: dict[str, Any]  # export.json; empty if the version has none
    warnings: list[str] = field(default_factory=list)  # about every answer
    watched: Watched | None = None  # if the answers are logged and the version was exported with a reference

    @property
    def network(self) -> str:
        return self.release.network

    @property
    def classes(self) -> list[str]:
        return self.model.described.get("classes") or []

    @property
    def operations(self) -> list[str]:
        """What can be asked of it."""
        return [self.task, "encode"] if self.encoder else [self.task]

    def reader(self, pixels: int) -> ImageReader:
        """A reader that brings images to the network's size, and refuses those with more pixels."""
        reader = ImageReader(*self.model.input.shape[1:], self.model.described.get("resize"))
        reader.target = reader.target._replace(pixels=pixels)
        return reader

    def identity(self) -> dict[str, Any]:
        """What each answer says about the network."""
        return {"network": self.network, "version": self.release.version, "sha256": self.sha256}


def load(release: Release, folder: Path, logged: bool = False) -> Served:
    """Fetch the files of a version into the empty `folder`, check and load them; for answers that are `logged` also
    what measures their images.

    Raises ConvzooError if a file is missing or another one than was registered, and if the network fails on an input
    of zeros.
    """
    file = release.fetch(folder)
    name = f"{release.network}: {release.title}"
    if file is None:
        raise ConvzooError(f"{name}: its file model.onnx is missing, expected what was registered; {REMEDY}")
    sha256 = check_sha256(file, release.sha256, REMEDY, subject=f"{name}: model.onnx")
    export = _export(folder, sha256)
    model = ServedModel(file)
    task = task_of(model)
    if task is None:
        raise ConvzooError(
            f"{name}: takes {model.input} and returns {model.output}, expected a network that classifies, reconstructs "
            "or generates images; choose another one"
        )
    encoder = _encoder(name, folder, export) if task == "reconstruct" else None
    for part in filter(None, (model, encoder)):
        _try(name, part)
    drawn = drawn_warnings(release.network, export.get("images", {}))
    watched = _watched(name, folder, sha256) if logged and task != "sample" else None
    return Served(release, sha256, task, model, encoder, export, drawn, watched)


def _export(folder: Path, sha256: str) -> dict[str, Any]:
    """The export.json that was fetched, if it is about this file."""
    for file in (folder / "export.json", folder / "extra_files" / "export.json"):
        try:
            export = read_json(file, "model_sha256")
        except (OSError, ConvzooError):
            continue
        if export["model_sha256"] == sha256:
            return export
    return {}


def _encoder(name: str, folder: Path, export: dict[str, Any]) -> ServedModel | None:
    """The encoder of an autoencoder; None if the version was registered without it."""
    expected, file = export.get("parts_sha256", {}).get(Path(ENCODER).name), folder / ENCODER
    if expected is None or not file.is_file():
        return None
    check_sha256(file, expected, REMEDY, subject=f"{name}: encoder.onnx")
    return ServedModel(file)


def _watched(name: str, folder: Path, sha256: str) -> Watched | None:
    """What measures images for the log; None, with a warning, if the version has no reference or a damaged one."""
    try:
        reference = read_reference(folder / PARTS / REFERENCE, sha256)
        features = reference.about["features"]
        file = folder / PARTS / features["file"]
        if not file.is_file():
            raise ConvzooError(f"{file.name}: is missing, expected what was exported with the reference; {REMEDY}")
        check_sha256(file, features["sha256"], REMEDY, subject=file.name)
        extractor = ServedModel(file)
        _try(name, extractor)
    except ConvzooError as error:
        log.warning("%s: the log has no features: %s", name, error)
        return None
    return Watched(reference, extractor)


def _try(name: str, model: ServedModel) -> None:
    """Raise ConvzooError if a network does not answer an input of zeros."""
    zeros = np.zeros([1, *(size or 1 for size in model.input.shape[1:])], model.input.dtype)
    try:
        model(zeros)
    except ConvzooError:
        raise
    except Exception as error:  # onnxruntime has a class of its own for each way to fail, without a common one
        raise ConvzooError(
            f"{name}: {model.path.name} fails on an image of zeros ({error}), expected an answer; {REMEDY}"
        ) from error
