"""The files in models/NETWORK of a network that was trained, exported and evaluated."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.errors import ConvzooError
from convzoo.files import DamagedFileError, check_sha256, read_json

STAGE_OF = {  # the files that a registration needs, and the stage that writes each
    "architecture.json": "train",
    "fingerprint.json": "train",
    "history.csv": "train",
    "model.onnx": "export",
    "export.json": "export",
    "evaluation.json": "evaluate",
}


class NetworkFiles(NamedTuple):
    """The contents of models/NETWORK, and of its data set's meta.json."""

    network: str
    folder: Path
    family: str
    identity: dict[str, Any]  # fingerprint.json
    export: dict[str, Any]  # export.json
    metrics: dict[str, Any]  # evaluation.json
    history: dict[int, dict[str, float]]  # history.csv, by epoch
    meta: dict[str, Any]  # data/prepared/SET/meta.json; empty if the data are not there

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def sha256(self) -> str:
        """The sha256 of model.onnx."""
        return self.export["model_sha256"]

    @property
    def source(self) -> dict[str, Any]:
        """The source of the data; empty if unknown."""
        return self.meta.get("source", {})

    @property
    def is_synthetic(self) -> bool:
        """Whether the data are generated, not real images."""
        return self.source.get("kind") == "synthetic"

    @property
    def numbers(self) -> dict[str, float]:
        """The flat numbers of evaluation.json."""
        return {
            key: value
            for key, value in self.metrics.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }

    def rows(self, name: str, *columns: str) -> list[dict[str, str]]:
        """The rows of the CSV file `name` in the folder; none if it is missing or lacks one of `columns`."""
        file = self.folder / name
        if not file.is_file():
            return []
        with file.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            return list(reader) if set(columns) <= set(reader.fieldnames or ()) else []

    @property
    def splits(self) -> dict[str, str]:
        """The sha256 of each split that the network was trained, selected and evaluated on.

        Empty if data/prepared has no digests, or holds other data by now.
        """
        splits, data = self.meta.get("splits", {}), self.identity["data"]
        return splits if all(splits.get(split) == data[split] for split in ("train", "val")) else {}


def missing_files(network: str) -> list[str]:
    """The files that models/NETWORK lacks for a registration."""
    return [name for name in STAGE_OF if not Path("models", network, name).is_file()]


def has_labels(export: Mapping[str, Any]) -> bool:
    """Whether the output in export.json is a probability per class, so that the most probable class has a name."""
    return bool(export.get("classes")) and export["output"]["shape"][1:] == [len(export["classes"])]


def read_network(network: str) -> NetworkFiles:
    """Read and check models/NETWORK.

    Raises ConvzooError if a file is missing, and if model.onnx is not the file that export.json describes.
    """
    folder = Path("models", network)
    for name in missing_files(network):
        raise ConvzooError(f"{folder / name}: is missing; run: convzoo repro {STAGE_OF[name]}@{network}")
    export = read_json(folder / "export.json", "model_sha256", "dataset", "input", "output")
    remedy = f"run: dvc checkout, or convzoo repro -f export@{network}"
    check_sha256(folder / "model.onnx", export["model_sha256"], remedy, reference="as export.json says")
    meta = Path("data/prepared", export["dataset"], "meta.json")
    return NetworkFiles(
        network,
        folder,
        read_json(folder / "architecture.json").get("family", "network"),
        read_json(folder / "fingerprint.json", "fingerprint", "data", "params", "code", "versions"),
        export,
        read_json(folder / "evaluation.json"),
        _history(folder / "history.csv"),
        read_json(meta) if meta.is_file() else {},
    )


def synthetic_note(files: NetworkFiles) -> str:
    """The note to show wherever a network of synthetic images is shown; empty for one of real images."""
    if not files.is_synthetic:
        return ""
    name = files.source["name"]
    return f"Trained and measured on {name}: images drawn from a seed. Its results say nothing about real images."


def _history(file: Path) -> dict[int, dict[str, float]]:
    """The rows of history.csv by their first column, without empty cells and values that are not finite.

    Raises DamagedFileError.
    """
    rows = {}
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream, strict=True):
                step, *cells = row.items()
                numbers = {key: float(value) for key, value in cells if value}
                rows[int(step[1])] = {key: value for key, value in numbers.items() if math.isfinite(value)}
    except (ValueError, TypeError, csv.Error) as error:
        raise DamagedFileError(
            f"{file}: is not a table of numbers by epoch ({error}), expected what the training wrote; restore it: "
            "dvc checkout"
        ) from None
    if not rows:
        raise DamagedFileError(f"{file}: has no row, expected one for each epoch; restore it: dvc checkout")
    return rows
