"""Classify images.

Images may have any size and mode. Warns about images that the network is likely to get wrong, such as photos given to a
network that was trained on drawn pictures. The exit code is 1 if an image cannot be read; the others are still
classified.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from convzoo.commands.shared import (
    AnyModel,
    Images,
    Json,
    check_task,
    image_files,
    image_reader,
    model_file,
    print_notes,
    print_result,
)
from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of
from convzoo.project import find_project
from convzoo.shipping.likely_wrong import drawn_warnings, image_warnings
from convzoo.shipping.model import Model
from convzoo.text import first_names, in_columns, percent

EXAMPLES = (
    "convzoo predict mnist-classifier digit.png",
    "convzoo predict mnist-classifier@champion scans/ --invert --top 3",
    "convzoo predict models/cifar10-classifier/model.onnx photo.jpg --json",
)
BATCH = 256


def command(
    network: AnyModel,
    paths: Images,
    top: Annotated[int, typer.Option(metavar="K", min=1, help="Show the K most probable classes.")] = 1,
    invert: Annotated[bool, typer.Option("--invert", help="Swap black and white first.")] = False,
    as_json: Json = False,
) -> None:
    """Print a row per image."""
    rows = predict(model_file(network, "predict"), paths, top=top, invert=invert)
    print_result(rows, as_text, as_json)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def predict(file: Path, paths: Sequence[Path], *, top: int = 1, invert: bool = False) -> list[dict[str, Any]]:
    """Classify the images in `paths` (files or folders) with the ONNX model in `file`.

    Returns a row per image, {file, class, probability, warnings} or {file, error}; with `top` above 1 also {top}, the
    most probable classes. Prints the warnings to stderr. Raises ConvzooError if the model is not a classifier.
    """
    model = Model(file)
    check_task(model, "predict")
    classes, trained_on = model.described["classes"], _trained_on(model)
    general = drawn_warnings(model.described.get("network", model.path.name), trained_on)
    reader, files, rows = image_reader(model), image_files(paths), []
    for start in range(0, len(files), BATCH):
        batch, images = reader.read(files[start : start + BATCH])
        rows += batch
        if not len(images):
            continue
        images = 255 - images if invert else images
        readable = [row for row in batch if "error" not in row]
        unusual = image_warnings(images, trained_on, "--invert")
        for row, probabilities, warnings in zip(readable, model(images), unusual, strict=True):
            best = np.argsort(-probabilities, kind="stable")[:top]
            guesses = [{"class": classes[i], "probability": round(float(probabilities[i]), 6)} for i in best]
            row |= guesses[0] | ({"top": guesses} if top > 1 else {}) | {"warnings": general + warnings}
    print_notes(reader)
    _print_warnings(general, rows)
    return rows


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""
    most = max((len(row.get("top", [row])) for row in rows), default=1)
    table = []
    for row in rows:
        guesses = row.get("top", [row])
        if "error" in row:
            cells = [row["error"]]
        else:
            cells = [f"{guess['class']}  {percent(guess['probability'], 1)}" for guess in guesses]
        table.append([row["file"], *cells, *[""] * (most - len(cells))])
    return in_columns(table)


def _trained_on(model: Model) -> dict[str, Any]:
    """What export.json says about the images that a model was trained on; empty if nothing is known.

    It lies beside the file, also beside the copy of a registered one, or in models/NETWORK if the file is from there.
    """
    folders, project = [model.path.parent], find_project()
    if project and "network" in model.described:
        folders.append(project / "models" / model.described["network"])
    for folder in folders:
        try:
            export = read_json(folder / "export.json", "model_sha256")
        except (OSError, ConvzooError):
            continue
        if export["model_sha256"] == sha256_of(model.path):
            return export.get("images", {})
    return {}


def _print_warnings(general: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Print each warning once, with the images that it is about."""
    images: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        for warning in row.get("warnings", ())[len(general) :]:
            images.setdefault(warning.partition(" (")[0], []).append((row["file"], warning))
    for warning in general:
        print(f"warning: {warning}", file=sys.stderr)
    for short, found in images.items():
        text = found[0][1] if len(found) == 1 else short  # --json has the figures of each image
        print(f"warning: {first_names([file for file, _ in found])}: {text}", file=sys.stderr)
