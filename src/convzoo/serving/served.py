"""A version of a network that is ready to answer: its file loaded and checked, and what else an answer needs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.cards.tasks import task_of
from convzoo.data.image_files import ImageReader
from convzoo.errors import ConvzooError
from convzoo.files import check_sha256, read_json
from convzoo.serving.sources import Release
from convzoo.shipping.likely_wrong import drawn_warnings
from convzoo.shipping.model import Model, run_in_batches

ENCODER = "parts/encoder.onnx"
BATCH, BATCH_PIXELS = 128, 2**18  # images that a network gets at a time, and their pixels
REMEDY = "restore the file, or choose another version: convzoo models"


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
        shape = self.input.shape if len(self.input.shape) == 4 else self.output.shape
        pixels = (shape[1] or 1) * (shape[2] or 1) if len(shape) == 4 else 1
        return max(1, min(BATCH, BATCH_PIXELS // pixels))


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


def load(release: Release, folder: Path) -> Served:
    """Fetch the files of a version into the empty `folder`, check and load them.

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
    return Served(release, sha256, task, model, encoder, export, drawn)


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
