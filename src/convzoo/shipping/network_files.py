"""What models/NETWORK says of a network that was trained, exported and evaluated."""

import csv
import math
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of

MADE_BY = {  # the files that a registration needs, and the stage that writes each
    "architecture.json": "train",
    "fingerprint.json": "train",
    "history.csv": "train",
    "model.onnx": "export",
    "export.json": "export",
    "metrics.json": "evaluate",
}


class Files(NamedTuple):
    """What models/NETWORK says."""

    network: str
    folder: Path
    identity: dict[str, Any]
    export: dict[str, Any]
    source: dict[str, Any]  # of the data: prepared/SET/meta.json's, empty where the data are not there
    history: dict[int, dict[str, float]]  # by epoch
    measured: dict[str, float]  # the flat numbers of metrics.json

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def sha256(self) -> str:
        return self.export["model_sha256"]


def missing_files(network: str) -> list[str]:
    """What models/NETWORK lacks for a registration."""
    return [name for name in MADE_BY if not Path("models", network, name).is_file()]


def read_files(network: str) -> Files:
    """Read and check models/NETWORK. Raises ConvzooError."""
    folder = Path("models", network)
    for name in missing_files(network):
        raise ConvzooError(f"{folder / name}: is missing; run: dvc repro {MADE_BY[name]}@{network}")
    export, found = read_json(folder / "export.json"), sha256_of(folder / "model.onnx")
    if found != export["model_sha256"]:
        raise ConvzooError(
            f"{folder / 'model.onnx'}: has sha256 {found[:12]}, expected {export['model_sha256'][:12]} as export.json "
            f"says; run: dvc checkout, or dvc repro -f export@{network}"
        )
    metrics = read_json(folder / "metrics.json")
    measured = {
        key: value for key, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
    history = _history(folder / "history.csv")
    meta = Path("data/prepared", export["dataset"], "meta.json")
    source = read_json(meta)["source"] if meta.is_file() else {}
    return Files(network, folder, read_json(folder / "fingerprint.json"), export, source, history, measured)


def drawn(files: Files) -> str:
    """What must be said wherever a network of made-up images is shown; empty for one of real images."""
    if files.source.get("kind") != "synthetic":
        return ""
    name = files.source["name"]
    return f"Trained and measured on {name}: images drawn from a seed. Its figures say nothing about real images."


def _history(file: Path) -> dict[int, dict[str, float]]:
    """The rows of history.csv by their first column; empty cells and what is not finite are left out."""
    rows = {}
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            step, *cells = row.items()
            numbers = {key: float(value) for key, value in cells if value}
            rows[int(step[1])] = {key: value for key, value in numbers.items() if math.isfinite(value)}
    return rows
