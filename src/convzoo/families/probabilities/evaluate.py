"""How class probabilities are measured on test and drawn; the same for all families whose file gives them."""

import csv
import math
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.families.probabilities.settings import EvaluationSettings
from convzoo.files import read_json
from convzoo.metrics import classification as measures
from convzoo.plots import BLUE, BLUES, GREEN, GREY, INK, ORANGE, gallery, picture
from convzoo.shipping.files import latency, rounded, shipped_model
from convzoo.shipping.model import Model, run_in_batches

FEW = 20  # classes whose names and numbers have room in a confusion matrix
LONGEST_COLUMN = 50  # classes below each other
LONGEST_NAME = 16  # letters of an image's id below its picture


class Answers(NamedTuple):
    """What the file said of each image."""

    names: list[str]  # of the classes, or of the superclasses
    labels: np.ndarray  # int64 (N,)
    answers: np.ndarray  # int64 (N,): the most probable
    top: np.ndarray  # (N,): its probability

    @property
    def correct(self) -> int:
        return int((self.answers == self.labels).sum())

    @property
    def matrix(self) -> np.ndarray:
        return measures.confusion(self.labels, self.answers, len(self.names))


class Tested(NamedTuple):
    """A test split, and what the file said of it."""

    model: Model
    export: dict[str, Any]  # export.json
    meta: dict[str, Any]  # meta.json of the prepared set
    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int64 (N,)
    ids: list[str]
    probabilities: np.ndarray  # float32 (N, K)
    seconds: float  # that the file took

    @property
    def fine(self) -> Answers:
        return Answers(
            self.export["classes"], self.labels, self.probabilities.argmax(axis=1), self.probabilities.max(axis=1)
        )


def run_on_test(network: str, settings: EvaluationSettings) -> Tested:
    """Run models/NETWORK/model.onnx on its test split. Raises ConvzooError where the files do not fit each other."""
    model, export = shipped_model(Path("models") / network)
    prepared = Path("data/prepared") / export["dataset"]
    images, labels, ids = _test_split(prepared / "test")
    try:
        meta = read_json(prepared / "meta.json")
    except (OSError, ValueError) as error:
        raise ConvzooError(f"{prepared}/meta.json: cannot be read ({error}); `dvc repro` prepares it") from error
    started = time.perf_counter()
    probabilities = run_in_batches(model, images, settings.batch_size, progress=network)
    seconds = time.perf_counter() - started
    check(model, probabilities, labels, len(export["classes"]), prepared / "test")
    return Tested(model, export, meta, images, labels, ids, probabilities, seconds)


def check(model: Model, probabilities: np.ndarray, labels: np.ndarray, classes: int, split: Path) -> None:
    """Raises ConvzooError unless the file gave each image probabilities of so many classes."""
    try:
        measures.check_probabilities(probabilities, labels)
    except ValueError as error:
        raise ConvzooError(f"{model.path} on {split}: {error}") from error
    if probabilities.shape[1] != classes:
        raise ConvzooError(f"{model.path}: expected {classes} classes (export.json), got {probabilities.shape[1]}")


def metrics_of(tested: Tested, settings: EvaluationSettings) -> dict[str, Any]:
    """Scores are shares from 0 to 1, the loss is in nats."""
    probabilities, labels, classes = tested.probabilities, tested.labels, tested.export["classes"]
    scores = measures.class_scores(labels, tested.fine.answers, len(classes))
    bins = measures.calibration_bins(probabilities, labels, settings.calibration_bins)
    return {
        "test_images": len(labels),
        **accuracy("test_accuracy", tested.fine, settings.confidence),
        f"test_top{settings.top_k}_accuracy": measures.top_k_accuracy(probabilities, labels, settings.top_k),
        "test_loss": measures.log_loss(probabilities, labels),
        "test_calibration_error": measures.calibration_error(bins),
        "test_macro_f1": statistics.fmean(score.f1 for score in scores),
        "classes": {name: score._asdict() for name, score in zip(classes, scores, strict=True)},
    }


def draw(plots: Path, tested: Tested, settings: EvaluationSettings) -> None:
    """Write the answers, their calibration, the scores of each class and the surest mistakes: tables and pictures."""
    probabilities, labels, ids = tested.probabilities, tested.labels, tested.ids
    classes, fine = tested.export["classes"], tested.fine
    scores = measures.class_scores(labels, fine.answers, len(classes))
    bins = measures.calibration_bins(probabilities, labels, settings.calibration_bins)
    write_answers(plots / "confusion.csv", ids, fine)
    write_csv(plots / "calibration.csv", measures.Bin._fields, bins)
    _draw_calibration(plots / "calibration.png", bins, rounded(measures.calibration_error(bins)))
    rows = [(name, *score) for name, score in zip(classes, scores, strict=True)]
    write_csv(plots / "classes.csv", ["class", *measures.ClassScores._fields], rows)
    _draw_classes(plots / "classes.png", scores, classes)
    worst = measures.worst_mistakes(probabilities, labels, settings.mistakes_shown)
    captions = [
        f"actual: {classes[labels[i]]}\nanswer: {classes[fine.answers[i]]}\n{fine.top[i]:.1%} · {_short(ids[i])}"
        for i in worst
    ]
    wrong = f"{len(labels) - fine.correct} of {len(labels)} test images answered wrong"
    title = f"{wrong}; the surest {len(worst)}" if len(worst) else f"No mistakes: {wrong}"
    gallery(plots / "mistakes.png", [tested.images[i] for i in worst], captions, title)


def tell(network: str, tested: Tested, settings: EvaluationSettings, metrics: dict[str, Any], more: str = "") -> None:
    """Print the accuracy with its interval, and how fast the file is, which is written nowhere."""
    drawn = tested.meta.get("source", {}).get("kind") == "synthetic"
    note = f" of {tested.export['dataset']} (drawn by convzoo, not the real set)" if drawn else ""
    bounds = f"{metrics['test_accuracy_low']:.2%} to {metrics['test_accuracy_high']:.2%}"
    count = len(tested.labels)
    print(
        f"{network}: {tested.fine.correct} of {count} test images{note} right: {metrics['test_accuracy']:.2%} "
        f"({settings.confidence:.0%} interval {bounds}){more}, loss {metrics['test_loss']:.4f}"
    )
    speed, milliseconds = count / tested.seconds, latency(tested.model, tested.images[:1])
    print(f"{network}: {speed:.0f} images/s in batches of {settings.batch_size}, {milliseconds:.2f} ms for one")


def accuracy(name: str, answers: Answers, confidence: float) -> dict[str, float]:
    images = len(answers.labels)
    low, high = measures.wilson_interval(answers.correct, images, confidence)
    return {name: answers.correct / images, f"{name}_low": low, f"{name}_high": high}


def write_answers(path: Path, ids: list[str], answers: Answers) -> None:
    """A row an image, since that is what DVC's template for confusion matrices counts."""
    columns = zip(ids, answers.labels, answers.top, answers.answers, strict=True)
    rows = [(name, answers.names[label], top, answers.names[answer]) for name, label, top, answer in columns]
    write_csv(path, ["id", "actual", "probability", "predicted"], rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([rounded(value) for value in row] for row in rows)


def draw_confusion(path: Path, matrix: np.ndarray, classes: list[str], kind: str = "class") -> None:
    side = min(max(4.5, 0.52 * len(classes)), 16)
    few = len(classes) <= FEW
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with picture(path, side + 0.9, side) as figure:
        axes = shown_matrix(figure, matrix, kind)
        size, turned = 9 if few else 5, 90 * (len(max(classes, key=len)) > 3)
        axes.set_xticks(range(len(classes)), classes, fontsize=size, rotation=turned)
        axes.set_yticks(range(len(classes)), classes, fontsize=size)
        for row, column in np.argwhere(matrix) if few else ():
            ink = "white" if shares[row, column] > 0.3 else INK
            axes.text(column, row, matrix[row, column], ha="center", va="center", color=ink, fontsize=8)


def shown_matrix(figure: Figure, matrix: np.ndarray, kind: str) -> Axes:
    """A matrix of answers, as shares of each row."""
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shown = axes.imshow(shares, BLUES, norm=PowerNorm(0.5, 0, 1))  # the root, so that a few mistakes can be seen
    axes.set(title=f"Answers to the images of each {kind}", xlabel="answer", ylabel=f"actual {kind}")
    axes.grid(False)
    bar = figure.colorbar(shown, fraction=0.046, format=PercentFormatter(1), label=f"of the {kind}'s images")
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1])
    return axes


def _draw_calibration(path: Path, bins: list[measures.Bin], error: float) -> None:
    filled = [row for row in bins if row.images]
    middles = [(row.low + row.high) / 2 for row in filled]
    with picture(path, 5.2, 5.6) as figure:
        axes, counts = figure.subplots(2, sharex=True, height_ratios=[3, 1])
        axes.bar(middles, [row.accuracy for row in filled], 0.92 / len(bins), color=BLUE)
        axes.plot([0, 1], [0, 1], "--", color=ORANGE, label="perfectly calibrated")
        axes.set_title(f"Expected calibration error {error:.4f}")
        axes.set(ylabel="share of right answers", xlim=(0, 1), ylim=(0, 1.04))
        axes.legend(loc="upper left")
        counts.bar(middles, [row.images for row in filled], 0.92 / len(bins), color=GREY)
        counts.set(xlabel="probability of the answer", ylabel="images", yscale="log", ylim=(0.7, None))
        counts.yaxis.set_major_formatter("{x:g}")
        counts.yaxis.set_minor_formatter("")


def _draw_classes(path: Path, scores: list[measures.ClassScores], classes: list[str]) -> None:
    columns = math.ceil(len(classes) / LONGEST_COLUMN)
    # Many are looked through for the worst.
    order = sorted(range(len(classes)), key=lambda label: scores[label].f1 if columns > 1 else label)
    length = math.ceil(len(classes) / columns)
    lowest = min(min(score.precision, score.recall, score.f1) for score in scores)
    with picture(path, 6 * columns, 1.2 + (0.28 if len(classes) <= 30 else 0.17) * length) as figure:
        for column, axes in enumerate(np.atleast_1d(figure.subplots(1, columns))):
            shown = order[column * length : (column + 1) * length]
            places = np.arange(len(shown))
            found = [scores[label] for label in shown]
            axes.plot([score.precision for score in found], places - 0.2, "o", color=BLUE, label="precision")
            axes.plot([score.recall for score in found], places, "s", color=ORANGE, label="recall")
            axes.plot([score.f1 for score in found], places + 0.2, "D", color=GREEN, label="F1")
            axes.set(xlim=(max(0, lowest - 0.02), 1.002), ylim=(length - 0.5, -0.5))
            axes.set_yticks(places, [classes[label] for label in shown])
            if not column:
                axes.set(title="Each class against the rest" + ", by F1" * (columns > 1))
                figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


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


def _short(name: str) -> str:
    """The end of an image's id, which may be the path of a file."""
    last = name.rpartition("/")[2]
    return last if len(last) <= LONGEST_NAME else "…" + last[1 - LONGEST_NAME :]
