"""Measures images and a network's answers to them; those of val are the reference for later images.

The stage `export` writes the measurements of val to parts/reference.npz, `convzoo serve --log` measures each image in
the same way, and `convzoo drift` compares the two.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.data.image_statistics import statistics
from convzoo.errors import ConvzooError, first_line
from convzoo.files import sha256_of
from convzoo.shipping.model import Model, run_in_batches

REFERENCE = "reference.npz"
FEATURES = "features.onnx"  # the part with the features, unless a network has another one
DIMENSIONS = 8  # of the projection
SEED = 0  # of the projection
BATCH, BATCH_PIXELS = 128, 2**18  # images that a network gets at a time, and their pixels
CLASS, CONFIDENCE, ERROR = "class", "confidence", "error"
ABOUT, PROJECTION = "about", "projection"  # entries of the file that are not measurements


class Reference(NamedTuple):
    """The measurements of the images that a network was selected on, and how to measure others."""

    about: dict[str, Any]  # network, model_sha256, features (file and sha256), classes, split, projection (seed, ...)
    projection: np.ndarray  # float32 (D, DIMENSIONS): multiplied with features, it gives the projected ones
    columns: dict[str, np.ndarray]  # (N,) each, by name, as `measure` returns them


def batch_size(shape: tuple[int | None, ...]) -> int:
    """How many images (N, H, W, C) a network gets at a time, so that the memory is bounded."""
    pixels = (shape[1] or 1) * (shape[2] or 1) if len(shape) == 4 else 1
    return max(1, min(BATCH, BATCH_PIXELS // pixels))


def measure(
    images: np.ndarray, outputs: np.ndarray | None, features: np.ndarray | None, projection: np.ndarray
) -> dict[str, np.ndarray]:
    """Measurements (N,) of uint8 images (N, H, W, C), by name.

    Always the statistics of `convzoo.data.image_statistics`. Of `features` (N, D) the projected ones, `feature_1` and
    so on. Of `outputs` that are probabilities (N, K) the index of the most probable `class` and its probability, the
    `confidence`; of reconstructions (N, H, W, C) the `error`, the mean squared difference in grey levels.
    """
    columns = {name: values.astype(np.float32) for name, values in statistics(images).items()}
    if features is not None:
        projected = features.reshape(len(features), -1).astype(np.float32) @ projection
        columns |= {f"feature_{number}": column for number, column in enumerate(projected.T, 1)}
    if outputs is not None and outputs.ndim == 2:
        columns[CLASS] = outputs.argmax(axis=1).astype(np.int32)
        columns[CONFIDENCE] = outputs.max(axis=1).astype(np.float32)
    elif outputs is not None:
        differences = np.asarray(images, np.float32) - outputs
        columns[ERROR] = np.square(differences).mean(axis=(1, 2, 3), dtype=np.float64).astype(np.float32)
    return columns


def projection_of(features: np.ndarray) -> np.ndarray:
    """A random projection (D, DIMENSIONS) of features like these, (N, D).

    Its entries are Gaussian, drawn from SEED. Each feature is divided by its standard deviation, so that none outweighs
    the others; those that are the same for all images are left out.
    """
    drawn = np.random.default_rng(SEED).standard_normal((features.shape[1], DIMENSIONS)) / np.sqrt(features.shape[1])
    spread = features.std(axis=0, dtype=np.float64)[:, None]
    return np.divide(drawn, spread, out=np.zeros_like(drawn), where=spread > 0).astype(np.float32)


def write_reference(path: Path, images: np.ndarray, model: Path, features: Path, **about: Any) -> dict[str, Any]:
    """Measure `images` with the files of a network, write the measurements, and return the file's entry `about`.

    `about` are additional values for this entry.
    """
    network, extractor = Model(model, portable=True), Model(features, portable=True)
    size = batch_size(images.shape)
    outputs = run_in_batches(network, images, size)
    known = run_in_batches(extractor, images, size).reshape(len(images), -1)
    projection = projection_of(known)
    about |= {
        "model_sha256": sha256_of(model),
        "features": {"file": features.name, "sha256": sha256_of(features)},
        "images": len(images),
        "projection": {"seed": SEED, "features": known.shape[1], "dimensions": DIMENSIONS},
    }
    text = np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8)
    columns = measure(images, outputs, known, projection)
    with path.open("wb") as stream:  # NumPy gives every entry the same time, so that the bytes are the same
        np.savez(stream, **{ABOUT: text, PROJECTION: projection}, **columns)
    return about


def read_reference(path: Path, model_sha256: str) -> Reference:
    """The content of a reference file.

    Raises ConvzooError if it is missing, cannot be read, or belongs to another file than the one with `model_sha256`.
    """
    remedy = "export the network again: convzoo repro, or choose a version that was exported with a reference"
    if not path.is_file():
        raise ConvzooError(f"{REFERENCE}: is missing, expected the measurements of val beside the network; {remedy}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            entries = {name: stored[name] for name in stored.files}
        about = json.loads(entries.pop(ABOUT).tobytes())
        reference = Reference(about, entries.pop(PROJECTION), entries)
        lengths = {len(column) for column in entries.values()}
        if lengths != {about["images"]} or not {"model_sha256", "features"} <= about.keys():
            raise ValueError("its entries do not belong together")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ConvzooError(
            f"{REFERENCE}: cannot be read ({first_line(error)}), expected the measurements of val; {remedy}"
        ) from error
    if reference.about["model_sha256"] != model_sha256:
        found = reference.about["model_sha256"][:12]
        raise ConvzooError(
            f"{REFERENCE}: belongs to the file with sha256 {found}, expected {model_sha256[:12]}; {remedy}"
        )
    return reference
