"""Evaluation of class probabilities on test, shared by all families whose exported file returns them."""

import math
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from convzoo.data.arrays import load_split
from convzoo.data.manifest import read_column
from convzoo.errors import ConvzooError
from convzoo.families.evaluation import print_speed, synthetic_note, write_csv
from convzoo.families.probabilities.settings import EvaluationSettings
from convzoo.files import read_json
from convzoo.metrics import classification
from convzoo.plots import BLUE, BLUES, GREEN, GREY, INK, ORANGE, gallery, picture
from convzoo.shipping.files import rounded, shipped_model
from convzoo.shipping.model import Model, run_in_batches
from convzoo.text import percent

MAX_LABELLED = 20  # classes at most for which a confusion matrix has room for names and numbers
MAX_ROWS = 50  # classes in a column of the plot of scores
MAX_ID = 16  # letters of an image's id in a caption


class Predictions(NamedTuple):
    """The predicted classes, or superclasses, of N images."""

    names: list[str]  # of the classes
    labels: np.ndarray  # int64 (N,): the true classes
    predicted: np.ndarray  # int64 (N,): the most probable classes
    confidence: np.ndarray  # (N,): their probabilities

    @classmethod
    def most_probable(cls, names: list[str], labels: np.ndarray, probabilities: np.ndarray) -> "Predictions":
        """Return the most probable classes, given probabilities (N, K)."""
        predicted = classification.most_probable(probabilities)
        return cls(names, labels, predicted, probabilities[np.arange(len(labels)), predicted])

    @property
    def correct(self) -> int:
        return int((self.predicted == self.labels).sum())

    @property
    def accuracy(self) -> float:
        return self.correct / len(self.labels)

    @property
    def matrix(self) -> np.ndarray:
        return classification.confusion(self.labels, self.predicted, len(self.names))


class Evaluation(NamedTuple):
    """A test split, and the probabilities that the exported file returns for it."""

    model: Model
    export: dict[str, Any]  # export.json
    meta: dict[str, Any]  # meta.json of the prepared set
    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int64 (N,)
    ids: list[str]
    probabilities: np.ndarray  # float32 (N, K)
    seconds: float  # for all images, in batches

    @property
    def predictions(self) -> Predictions:
        return Predictions.most_probable(self.export["classes"], self.labels, self.probabilities)


def run_on_test(network: str, settings: EvaluationSettings) -> Evaluation:
    """Run models/NETWORK/model.onnx on its test split. Raises ConvzooError if the files do not belong together."""
    model, export = shipped_model(Path("models") / network)
    prepared = Path("data/prepared") / export["dataset"]
    images, labels, ids = _test_split(prepared / "test")
    try:
        meta = read_json(prepared / "meta.json")
    except (OSError, ValueError) as error:
        raise ConvzooError(f"{prepared}/meta.json: cannot be read ({error}); `convzoo repro` prepares it") from error
    started = time.perf_counter()
    probabilities = run_in_batches(model, images, settings.batch_size, progress=network)
    seconds = time.perf_counter() - started
    check_probabilities(model, probabilities, labels, len(export["classes"]), prepared / "test")
    return Evaluation(model, export, meta, images, labels, ids, probabilities, seconds)


def check_probabilities(model: Model, probabilities: np.ndarray, labels: np.ndarray, classes: int, split: Path) -> None:
    """Raise ConvzooError unless `model` returned probabilities of `classes` classes for each image of `split`."""
    try:
        classification.check_probabilities(probabilities, labels)
    except ValueError as error:
        raise ConvzooError(f"{model.path} on {split}: {error}") from error
    if probabilities.shape[1] != classes:
        raise ConvzooError(f"{model.path}: expected {classes} classes (export.json), got {probabilities.shape[1]}")


def compute_metrics(evaluation: Evaluation, settings: EvaluationSettings) -> dict[str, Any]:
    """Compute the metrics that every network with class probabilities has: scores from 0 to 1, the loss in nats."""
    probabilities, labels, classes = evaluation.probabilities, evaluation.labels, evaluation.export["classes"]
    scores = classification.class_scores(labels, evaluation.predictions.predicted, len(classes))
    bins = classification.calibration_bins(probabilities, labels, settings.calibration_bins)
    top_k = settings.top_k
    if top_k < len(classes):
        best = {f"test_top{top_k}_accuracy": classification.top_k_accuracy(probabilities, labels, top_k)}
    else:  # it would be 1 whatever the network predicts
        best = {}
        print(f"no top-{top_k} accuracy: top_k in params.yaml is not below the number of classes, {len(classes)}")
    return {
        "test_images": len(labels),
        **accuracy_with_interval("test_accuracy", evaluation.predictions, settings.confidence),
        **best,
        "test_loss": classification.log_loss(probabilities, labels),
        "test_calibration_error": classification.calibration_error(bins),
        "test_macro_f1": statistics.fmean(score.f1 for score in scores),
        "classes": {name: score._asdict() for name, score in zip(classes, scores, strict=True)},
    }


def write_plots(plots: Path, evaluation: Evaluation, settings: EvaluationSettings) -> None:
    """Write the predictions, calibration, scores per class and most confident mistakes, as tables and plots."""
    probabilities, labels, ids = evaluation.probabilities, evaluation.labels, evaluation.ids
    classes, predictions = evaluation.export["classes"], evaluation.predictions
    scores = classification.class_scores(labels, predictions.predicted, len(classes))
    bins = classification.calibration_bins(probabilities, labels, settings.calibration_bins)
    write_predictions(plots / "confusion.csv", ids, predictions)
    write_csv(plots / "calibration.csv", classification.Bin._fields, bins)
    _draw_calibration(plots / "calibration.png", bins, rounded(classification.calibration_error(bins)))
    rows = [(name, *score) for name, score in zip(classes, scores, strict=True)]
    write_csv(plots / "classes.csv", ["class", *classification.ClassScores._fields], rows)
    _draw_classes(plots / "classes.png", scores, classes)
    worst = classification.worst_mistakes(probabilities, labels, settings.mistakes_shown)
    predicted, confidence = predictions.predicted, predictions.confidence
    captions = [
        f"actual: {classes[labels[i]]}\npredicted: {classes[predicted[i]]}\n"
        f"{percent(confidence[i], 1)} · {_shortened(ids[i])}"
        for i in worst
    ]
    wrong = f"{len(labels) - predictions.correct} of {len(labels)} test images misclassified"
    title = f"{wrong}; the {len(worst)} most confident" if len(worst) else f"No mistakes: {wrong}"
    gallery(plots / "mistakes.png", [evaluation.images[i] for i in worst], captions, title)


def print_summary(
    network: str, evaluation: Evaluation, settings: EvaluationSettings, metrics: dict[str, Any], more: str = ""
) -> None:
    """Print the accuracy with its interval and the speed of the file, which is not written to any file."""
    note = synthetic_note(evaluation.export["dataset"], evaluation.meta)
    bounds = f"{percent(metrics['test_accuracy_low'])} to {percent(metrics['test_accuracy_high'])}"
    correct, count = evaluation.predictions.correct, len(evaluation.labels)
    print(
        f"{network}: {correct} of {count} test images{note} right: {percent(metrics['test_accuracy'])} "
        f"({percent(settings.confidence, 0)} interval {bounds}){more}, loss {metrics['test_loss']:.4f}"
    )
    print_speed(network, evaluation.model, evaluation.images, evaluation.seconds, settings.batch_size)


def accuracy_with_interval(key: str, predictions: Predictions, confidence: float) -> dict[str, float]:
    """Return the accuracy as `key`, and its Wilson interval as `key`_low and `key`_high."""
    low, high = classification.wilson_interval(predictions.correct, len(predictions.labels), confidence)
    return {key: predictions.accuracy, f"{key}_low": low, f"{key}_high": high}


def write_predictions(path: Path, ids: list[str], predictions: Predictions) -> None:
    """Write one row per image, which is what DVC's template for confusion matrices counts."""
    names = predictions.names
    columns = zip(ids, predictions.labels, predictions.confidence, predictions.predicted, strict=True)
    rows = [(name, names[label], confidence, names[predicted]) for name, label, confidence, predicted in columns]
    write_csv(path, ["id", "actual", "probability", "predicted"], rows)


def draw_confusion(path: Path, matrix: np.ndarray, classes: list[str], kind: str = "class") -> None:
    """Draw a confusion matrix with the names of its classes and, if there are few, its numbers."""
    side = min(max(4.5, 0.52 * len(classes)), 16)
    labelled = len(classes) <= MAX_LABELLED
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with picture(path, side + 0.9, side) as figure:
        axes = draw_matrix(figure, matrix, kind)
        size, rotation = 9 if labelled else 5, 90 * (len(max(classes, key=len)) > 3)
        axes.set_xticks(range(len(classes)), classes, fontsize=size, rotation=rotation)
        axes.set_yticks(range(len(classes)), classes, fontsize=size)
        for row, column in np.argwhere(matrix) if labelled else ():
            ink = "white" if shares[row, column] > 0.3 else INK
            axes.text(column, row, matrix[row, column], ha="center", va="center", color=ink, fontsize=8)


def draw_matrix(figure: Figure, matrix: np.ndarray, kind: str) -> Axes:
    """Draw a confusion matrix as shares of its rows, with a colour bar and without ticks."""
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, BLUES, norm=PowerNorm(0.5, 0, 1))  # a square root, so that rare mistakes stay visible
    axes.set(title=f"Predictions by actual {kind}", xlabel=f"predicted {kind}", ylabel=f"actual {kind}")
    axes.grid(False)
    bar = figure.colorbar(image, fraction=0.046, format=PercentFormatter(1), label=f"of the {kind}'s images")
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1])
    return axes


def _draw_calibration(path: Path, bins: list[classification.Bin], error: float) -> None:
    nonempty = [row for row in bins if row.images]
    middles = [(row.low + row.high) / 2 for row in nonempty]
    with picture(path, 5.2, 5.6) as figure:
        axes, counts = figure.subplots(2, sharex=True, height_ratios=[3, 1])
        axes.bar(middles, [row.accuracy for row in nonempty], 0.92 / len(bins), color=BLUE)
        axes.plot([0, 1], [0, 1], "--", color=ORANGE, label="perfectly calibrated")
        axes.set_title(f"Expected calibration error {error:.4f}")
        axes.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.04))
        axes.legend(loc="upper left")
        counts.bar(middles, [row.images for row in nonempty], 0.92 / len(bins), color=GREY)
        counts.set(xlabel="probability of the prediction", ylabel="images", yscale="log", ylim=(0.7, None))
        counts.yaxis.set_major_formatter("{x:g}")
        counts.yaxis.set_minor_formatter("")


def _draw_classes(path: Path, scores: list[classification.ClassScores], classes: list[str]) -> None:
    columns = math.ceil(len(classes) / MAX_ROWS)
    # If there are many classes, the reader looks for the worst.
    order = sorted(range(len(classes)), key=lambda label: scores[label].f1 if columns > 1 else label)
    length = math.ceil(len(classes) / columns)
    lowest = min(min(score.precision, score.recall, score.f1) for score in scores)
    with picture(path, 6 * columns, 1.2 + (0.28 if len(classes) <= 30 else 0.17) * length) as figure:
        for column, axes in enumerate(np.atleast_1d(figure.subplots(1, columns))):
            shown = order[column * length : (column + 1) * length]
            places = np.arange(len(shown))
            shown_scores = [scores[label] for label in shown]
            axes.plot([score.precision for score in shown_scores], places - 0.2, "o", color=BLUE, label="precision")
            axes.plot([score.recall for score in shown_scores], places, "s", color=ORANGE, label="recall")
            axes.plot([score.f1 for score in shown_scores], places + 0.2, "D", color=GREEN, label="F1")
            axes.set(xlim=(max(0, lowest - 0.02), 1.002), ylim=(length - 0.5, -0.5))
            axes.set_yticks(places, [classes[label] for label in shown])
            if not column:
                axes.set(title="Each class against the rest" + ", by F1" * (columns > 1))
                figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _test_split(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Load the images, labels and ids of a prepared split."""
    images, labels = load_split(folder)
    try:
        ids = read_column(folder / "manifest.csv", "id")
    except (OSError, ValueError, KeyError) as error:
        raise ConvzooError(f"{folder}/manifest.csv: cannot be read ({error}); `convzoo repro` prepares it") from error
    if not len(images) == len(labels) == len(ids) or not len(images):
        counts = f"{len(images)} images, {len(labels)} labels and {len(ids)} rows in manifest.csv"
        raise ConvzooError(f"{folder}: expected as many of each and at least one, got {counts}; prepare it again")
    return images, labels, ids


def _shortened(image_id: str) -> str:
    """Return the end of an image's id, which may be the path of a file."""
    last = image_id.rpartition("/")[2]
    return last if len(last) <= MAX_ID else "…" + last[1 - MAX_ID :]
