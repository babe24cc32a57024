"""Classify images.

Images may have any size and mode. The exit code is 1 if one cannot be read; the others are still classified.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer

from convzoo.commands.shared import (
    Images,
    Json,
    Version,
    image_reader,
    model_file,
    print_notes,
    print_result,
    wrong_model,
)
from convzoo.data.image_files import images_in
from convzoo.shipping.model import Model
from convzoo.text import in_columns

BATCH = 256


def command(network: Version, paths: Images, as_json: Json = False) -> None:
    """Print a row per image."""
    rows = predict(model_file(network), paths)
    print_result(rows, as_text, as_json)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


def predict(file: Path, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Classify the images in `paths` (files or folders) with the ONNX model in `file`.

    Returns a row per image, {file, class, probability} or {file, error}. Raises ConvzooError if the model is not a
    classifier.
    """
    model = Model(file)
    classes = model.described.get("classes")
    if not classes or model.input.dtype != "uint8" or model.output.shape[1:] != (len(classes),):
        raise wrong_model(model, "a classifier")
    reader, files, rows = image_reader(model), list(images_in(paths)), []
    for start in range(0, len(files), BATCH):
        batch, images = reader.read(files[start : start + BATCH])
        rows += batch
        if len(images):
            readable = [row for row in batch if "error" not in row]
            for row, probabilities in zip(readable, model(images), strict=True):
                best = int(np.argmax(probabilities))
                row |= {"class": classes[best], "probability": round(float(probabilities[best]), 6)}
    print_notes(reader)
    return rows


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""
    return in_columns([[row["file"], row.get("error") or "{class}  {probability:.1%}".format(**row)] for row in rows])
