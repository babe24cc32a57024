"""A small network's files and data in the current folder, made by hand; comparisons of what its evaluation wrote."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from convzoo.data.arrays import save_array
from convzoo.files import read_json, sha256_of, write_json
from helpers import references
from helpers.onnx_files import save_linear_classifier

FOLDER, PREPARED = Path("models/small"), Path("data/prepared/drawn")
CLASSES, SHAPE = ["left", "right", "up", "down"], (6, 5, 1)
ROUNDED = {"abs": 1e-6, "rel": 0}  # evaluation.json has six digits


def write_export(**more: Any) -> dict[str, Any]:
    parts = {file.name: sha256_of(file) for file in sorted((FOLDER / "parts").glob("*.onnx"))}
    about = {"model_sha256": sha256_of(FOLDER / "model.onnx"), "parts_sha256": parts, "dataset": "drawn"}
    write_json(FOLDER / "export.json", about | more)
    return about | more


def write_split(name: str, images: np.ndarray, labels: np.ndarray) -> None:
    save_array(PREPARED / name / "images.npy", images)
    save_array(PREPARED / name / "labels.npy", labels.astype(np.int64))
    ids = "".join(f"{name}-{row},{label}\n" for row, label in enumerate(labels))
    (PREPARED / name / "manifest.csv").write_text(f"id,label\n{ids}")


def write_classified(**meta: Any) -> tuple[np.ndarray, np.ndarray]:
    """60 test images of noise, three quarters of them of the first two classes."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (60, *SHAPE), dtype=np.uint8)
    labels = rng.choice(4, 60, p=[0.4, 0.35, 0.15, 0.1])
    write_split("test", images, labels)
    write_json(PREPARED / "meta.json", {"source": {"kind": "archive"}} | meta)
    save_array(FOLDER / "extra/augmented_batch.npy", images[:24])
    return images, labels


def write_classifier(file: Path, images: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """A file that is right more often than by chance; the weights (pixels, 4) of its logits."""
    rng = np.random.default_rng(seed)
    fitted = np.linalg.lstsq(images.reshape(60, -1) / 255 - 0.5, np.eye(4)[labels], rcond=None)[0]
    weights = (fitted + rng.normal(0, 0.4, fitted.shape)) / 60
    save_linear_classifier(file, weights, SHAPE)
    return weights.astype(np.float32)


def outputs(images: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return softmax(images.reshape(len(images), -1).astype(np.float32) @ weights, axis=1)


def rows(name: str) -> list[list[str]]:
    with (FOLDER / "plots" / name).open(newline="") as stream:
        return list(csv.reader(stream))[1:]


def numbers(row: list[str]) -> list[Any]:
    return [float(value) if value.replace(".", "").replace("-", "").isdigit() else value or None for value in row]


def same_table(name: str, expected: list[tuple]) -> None:
    for found, row in zip(rows(name), expected, strict=True):
        assert numbers(found) == [
            pytest.approx(value, **ROUNDED) if isinstance(value, int | float | np.number) else value for value in row
        ]


def same_metrics(found: dict[str, Any], expected: dict[str, Any], **tolerance: float) -> None:
    found_values, values = references.flat(found), references.flat(expected)
    texts = {key: value for key, value in values.items() if isinstance(value, str)}
    assert {key: found_values.pop(key) for key in texts} == texts
    rest = {key: value for key, value in values.items() if key not in texts}
    assert found_values == pytest.approx(rest, **(tolerance or ROUNDED))
    assert read_json(FOLDER / "evaluation.json") == found


def shown_are(metrics: dict[str, Any], main: str, *others: str) -> None:
    """metrics.json has the main metric, its interval and `others`, with the values of `metrics`."""
    expected = {key: metrics[key] for key in (main, *others)}
    expected |= {"ci_lower": metrics[f"{main}_low"], "ci_upper": metrics[f"{main}_high"]}
    assert read_json(FOLDER / "metrics.json") == expected
