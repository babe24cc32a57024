"""Exported files as every family's evaluation uses them: checked, timed with one input, metrics rounded."""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of
from convzoo.shipping.model import Model

DIGITS = 6
WARM_UP, TIMED = 5, 50  # calls with one input, for the latency


def shipped_model(folder: Path) -> tuple[Model, dict[str, Any]]:
    """The model.onnx in `folder`, and export.json. Raises ConvzooError if they do not belong together."""
    model = Model(folder / "model.onnx", portable=True)
    described = folder / "export.json"
    if not described.is_file():
        raise ConvzooError(
            f"{described}: there is no such file, expected a description of model.onnx; `convzoo repro` makes both"
        )
    export = read_json(described, "model_sha256", "dataset", "classes")
    _check(model.path, export["model_sha256"])
    return model, export


def shipped_part(folder: Path, export: dict[str, Any], name: str) -> Model:
    """The file parts/`name` in `folder`. Raises ConvzooError if it is not the one in export.json."""
    file = folder / "parts" / name
    _check(file, export["parts_sha256"][name])
    return Model(file, portable=True)


def _check(file: Path, sha256: str) -> None:
    found = f"sha256 {sha256_of(file)}" if file.is_file() else "missing"
    if found != f"sha256 {sha256}":
        raise ConvzooError(
            f"{file}: {found} is not what export.json says, expected {sha256}; export it again: convzoo repro"
        )


def latency(model: Model, one: np.ndarray) -> float:
    """The median time of a call with one input, in milliseconds."""
    seconds = []
    for _ in range(WARM_UP + TIMED):
        started = time.perf_counter()
        model(one)
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[WARM_UP:])


def rounded(value: Any) -> Any:
    """A float with six digits after the point, also in dicts in dicts; everything else as it is."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return round(float(value), DIGITS) if isinstance(value, float | np.floating) else value
