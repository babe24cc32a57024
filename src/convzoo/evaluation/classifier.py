"""Measures a classifier's exported file, the one that ships, on the test images."""

import csv
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.ticker import PercentFormatter

from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.files import new_folder, read_json, sha256_of, write_json
from convzoo.measures import classifier as measures
from convzoo.plots import BLUE, BLUES, GREEN, GREY, INK, ORANGE, gallery, picture
from convzoo.runtime import Model, run_in_batches
from convzoo.settings.classifier import EvaluationSettings

DIGITS = 6
WARM_UP, TIMED = 5, 50  # calls with one image, for the latency


def evaluate(network: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Measure models/NETWORK/model.onnx on its test split: writes metrics.json and plots/, returns the metrics.

    Scores are shares from 0 to 1, the loss is in nats. Speed is printed and written nowhere, so that the files only
    change with the results. Raises ConvzooError where the files do not fit each other.
    """
    folder = Path("models") / network
    model, export = _model(folder)
    classes = export["classes"]
    split = Path("data/prepared") / export["dataset"] / "test"
    images, labels, ids = _test_split(split)
    started = time.perf_counter()
    probabilities = run_in_batches(model, images, settings.batch_size, progress=network)
    seconds = time.perf_counter() - started
    try:
        measures.check_probabilities(probabilities, labels)
    except ValueError as error:
        raise ConvzooError(f"{model.path} on {split}: {error}") from error
    if probabilities.shape[1] != len(classes):
        raise ConvzooError(f"{model.path}: expected {len(classes)} classes (export.json), got {probabilities.shape[1]}")

    answers = probabilities.argmax(axis=1)
    correct = int((answers == labels).sum())
    low, high = measures.wilson_interval(correct, len(labels), settings.confidence)
    scores = measures.class_scores(labels, answers, len(classes))
    bins = measures.calibration_bins(probabilities, labels, settings.calibration_bins)
    matrix = measures.confusion(labels, answers, len(classes))
    metrics = {
        "test_images": len(labels),
        "test_accuracy": correct / len(labels),
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        f"test_top{settings.top_k}_accuracy": measures.top_k_accuracy(probabilities, labels, settings.top_k),
        "test_loss": measures.log_loss(probabilities, labels),
        "test_calibration_error": measures.calibration_error(bins),
        "test_macro_f1": statistics.fmean(score.f1 for score in scores),
        "classes": {name: score._asdict() for name, score in zip(classes, scores, strict=True)},
    }
    metrics = _rounded(metrics)

    with new_folder(folder / "plots") as plots:
        top = probabilities.max(axis=1)
        rows = [(i, classes[a], t, classes[p]) for i, a, p, t in zip(ids, labels, answers, top, strict=True)]
        # A row an image, since that is what DVC's template for confusion matrices counts.
        _write_csv(plots / "confusion.csv", ["id", "actual", "probability", "predicted"], rows)
        _draw_confusion(plots / "confusion.png", matrix, classes)
        _write_csv(plots / "calibration.csv", measures.Bin._fields, bins)
        _draw_calibration(plots / "calibration.png", bins, metrics["test_calibration_error"])
        rows = [(name, *score) for name, score in zip(classes, scores, strict=True)]
        _write_csv(plots / "classes.csv", ["class", *measures.ClassScores._fields], rows)
        _draw_classes(plots / "classes.png", scores, classes)
        worst = measures.worst_mistakes(probabilities, labels, settings.mistakes_shown)
        captions = [
            f"actual: {classes[labels[i]]}\nanswer: {classes[answers[i]]}\n{top[i]:.1%} · {ids[i]}" for i in worst
        ]
        wrong = f"{len(labels) - correct} of {len(labels)} test images answered wrong"
        title = f"{wrong}; the surest {len(worst)}" if len(worst) else f"No mistakes: {wrong}"
        gallery(plots / "mistakes.png", [images[i] for i in worst], captions, title)
    write_json(folder / "metrics.json", metrics)

    print(
        f"{network}: {correct} of {len(labels)} test images right: {metrics['test_accuracy']:.2%} "
        f"({settings.confidence:.0%} interval {low:.2%} to {high:.2%}), loss {metrics['test_loss']:.4f}"
    )
    latency = _latency(model, images[:1])
    print(
        f"{network}: {len(labels) / seconds:.0f} images/s in batches of {settings.batch_size}, {latency:.2f} ms for one"
    )
    return metrics


def _model(folder: Path) -> tuple[Model, dict[str, Any]]:
    model = Model(folder / "model.onnx")
    described = folder / "export.json"
    if not described.is_file():
        raise ConvzooError(f"{described}: there is no such file; `dvc repro` makes it together with model.onnx")
    export = read_json(described)
    found = sha256_of(model.path)
    if found != export["model_sha256"]:
        raise ConvzooError(
            f"{model.path}: sha256 {found} is not what export.json says ({export['model_sha256']}); export it again"
        )
    return model, export


def _test_split(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    images, labels = load_split(folder)
    try:
        with (folder / "manifest.csv").open(newline="", encoding="utf-8") as stream:
            ids = [row["id"] for row in csv.DictReader(stream)]
    except (OSError, ValueError, KeyError) as error:
        raise ConvzooError(f"{folder}/manifest.csv: cannot be read ({error}); `dvc repro` prepares it") from error
    if not len(images) == len(labels) == len(ids) or not len(images):
        counts = f"{len(images)} images, {len(labels)} labels and {len(ids)} rows in manifest.csv"
        raise ConvzooError(f"{folder}: expected as many of each and at least one, got {counts}; prepare it again")
    return images, labels, ids


def _draw_confusion(path: Path, matrix: np.ndarray, classes: list[str]) -> None:
    side = min(max(4.5, 0.52 * len(classes)), 16)
    few = len(classes) <= 20
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with picture(path, side + 0.9, side) as figure:
        axes = figure.subplots()
        shown = axes.imshow(shares, BLUES, norm=PowerNorm(0.5, 0, 1))  # the root, so that a few mistakes can be seen
        axes.set(title="Answers to the images of each class", xlabel="answer", ylabel="actual class")
        axes.set_xticks(
            range(len(classes)), classes, fontsize=9 if few else 5, rotation=90 * (len(max(classes, key=len)) > 3)
        )
        axes.set_yticks(range(len(classes)), classes, fontsize=9 if few else 5)
        axes.grid(False)
        figure.colorbar(
            shown,
            fraction=0.046,
            ticks=[0, 0.01, 0.05, 0.2, 0.5, 1],
            format=PercentFormatter(1),
            label="of the class's images",
        )
        for row, column in np.argwhere(matrix) if few else ():
            ink = "white" if shares[row, column] > 0.3 else INK
            axes.text(column, row, matrix[row, column], ha="center", va="center", color=ink, fontsize=8)


def _draw_calibration(path: Path, bins: list[measures.Bin], error: float) -> None:
    filled = [row for row in bins if row.images]
    middles = [(row.low + row.high) / 2 for row in filled]
    with picture(path, 5.2, 5.6) as figure:
        axes, counts = figure.subplots(2, sharex=True, height_ratios=[3, 1])
        axes.bar(middles, [row.accuracy for row in filled], 0.92 / len(bins), color=BLUE)
        axes.plot([0, 1], [0, 1], "--", color=ORANGE, label="perfectly calibrated")
        axes.set(
            title=f"Expected calibration error {error:.4f}",
            ylabel="share of right answers",
            xlim=(0, 1),
            ylim=(0, 1.04),
        )
        axes.legend(loc="upper left")
        counts.bar(middles, [row.images for row in filled], 0.92 / len(bins), color=GREY)
        counts.set(xlabel="probability of the answer", ylabel="images", yscale="log", ylim=(0.7, None))
        counts.yaxis.set_major_formatter("{x:g}")
        counts.yaxis.set_minor_formatter("")


def _draw_classes(path: Path, scores: list[measures.ClassScores], classes: list[str]) -> None:
    places = np.arange(len(classes))
    lowest = min(min(score.precision, score.recall, score.f1) for score in scores)
    with picture(path, 6, 1.2 + (0.28 if len(classes) <= 30 else 0.17) * len(classes)) as figure:
        axes = figure.subplots()
        axes.plot([score.precision for score in scores], places - 0.2, "o", color=BLUE, label="precision")
        axes.plot([score.recall for score in scores], places, "s", color=ORANGE, label="recall")
        axes.plot([score.f1 for score in scores], places + 0.2, "D", color=GREEN, label="F1")
        axes.set(
            title="Each class against the rest", xlim=(max(0, lowest - 0.02), 1.002), ylim=(len(classes) - 0.5, -0.5)
        )
        axes.set_yticks(places, classes)
        figure.legend(loc="outside lower center", ncols=3)


def _latency(model: Model, image: np.ndarray) -> float:
    """The median time of a call with one image, in milliseconds."""
    seconds = []
    for _ in range(WARM_UP + TIMED):
        started = time.perf_counter()
        model(image)
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds[WARM_UP:])


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(float(value), DIGITS) if isinstance(value, float | np.floating) else value


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([_rounded(value) for value in row] for row in rows)
