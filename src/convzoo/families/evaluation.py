"""What the evaluations of several families write and print in the same way."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.files import write_json
from convzoo.shipping.files import latency, rounded
from convzoo.shipping.model import Model


def write_results(folder: Path, results: dict[str, Any], main: str, *others: str) -> None:
    """Write all `results` to evaluation.json, and the few that `dvc metrics` compares to metrics.json.

    These are the `main` metric, the bounds of its interval as ci_lower and ci_upper, and the `others`.
    """
    write_json(folder / "evaluation.json", results)
    bounds = {"ci_lower": f"{main}_low", "ci_upper": f"{main}_high"} if f"{main}_low" in results else {}
    shown = {main: main} | bounds | {key: key for key in others}
    write_json(folder / "metrics.json", {name: results[key] for name, key in shown.items()})


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file with rounded numbers and Unix line ends."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([rounded(value) for value in row] for row in rows)


def synthetic_note(dataset: str, meta: dict[str, Any]) -> str:
    """Return a note for the summary if `meta` (meta.json) says that the data set is drawn, otherwise nothing."""
    synthetic = meta.get("source", {}).get("kind") == "synthetic"
    return f" of {dataset} (drawn by convzoo, not the real set)" if synthetic else ""


def print_speed(network: str, model: Model, images: np.ndarray, seconds: float, batch_size: int) -> None:
    """Print the throughput, given the `seconds` that all `images` took in batches, and the latency of one image."""
    speed, milliseconds = len(images) / seconds, latency(model, images[:1])
    print(f"{network}: {speed:.0f} images/s in batches of {batch_size}, {milliseconds:.2f} ms for one")
