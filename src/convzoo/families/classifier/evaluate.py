"""Evaluates a classifier's exported file on the test images."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.data.arrays import load_array
from convzoo.data.contact_sheet import contact_sheet, in_rows, write_picture
from convzoo.errors import ConvzooError
from convzoo.families.classifier.settings import EvaluationSettings
from convzoo.families.evaluation import write_results
from convzoo.families.probabilities.evaluate import (
    MAX_LABELLED,
    Evaluation,
    Predictions,
    accuracy_with_interval,
    compute_metrics,
    draw_confusion,
    draw_matrix,
    print_summary,
    run_on_test,
    write_plots,
    write_predictions,
)
from convzoo.files import new_folder
from convzoo.metrics.classification import superclass_probabilities
from convzoo.plots import GREY, picture
from convzoo.shipping.files import rounded
from convzoo.text import percent

AUGMENTED_COLUMNS = 12  # of the sheet of augmented train images


class Superclasses(NamedTuple):
    """Groups of classes."""

    names: list[str]
    of_class: np.ndarray  # int64 (K,): the index of each class's superclass


def evaluate(network: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Evaluate models/NETWORK/model.onnx on its test split: write evaluation.json, metrics.json and plots/.

    Scores are shares from 0 to 1, the loss is in nats. If the data set has superclasses, the coarse accuracy is that of
    the superclass with the largest sum of its classes' probabilities. Speed is only printed, so that the files change
    with the results alone. Raises ConvzooError if the files do not belong together.
    """
    folder = Path("models") / network
    evaluation = run_on_test(network, settings)
    superclasses = _superclasses(evaluation)
    coarse = _coarse_predictions(evaluation, superclasses) if superclasses else None
    augmented = load_array(folder / "extra/augmented_batch.npy", network)

    metrics = compute_metrics(evaluation, settings)
    if coarse:
        metrics |= accuracy_with_interval("test_coarse_accuracy", coarse, settings.confidence)
    metrics = rounded(metrics)

    with new_folder(folder / "plots") as plots:
        write_plots(plots, evaluation, settings)
        _draw_confusion(plots / "confusion.png", evaluation.predictions, superclasses)
        if coarse:
            write_predictions(plots / "superclasses.csv", evaluation.ids, coarse)
            draw_confusion(plots / "superclasses.png", coarse.matrix, coarse.names, "superclass")
        write_picture(contact_sheet(in_rows(augmented, AUGMENTED_COLUMNS)), plots / "augmented_batch.png")

    write_results(folder, metrics, "test_accuracy", "test_loss")

    more = f", of superclasses {percent(metrics['test_coarse_accuracy'])}" if coarse else ""
    print_summary(network, evaluation, settings, metrics, more)
    return metrics


def _superclasses(evaluation: Evaluation) -> Superclasses | None:
    """Return the superclasses of the prepared set if it has any."""
    classes, meta = evaluation.export["classes"], evaluation.meta
    if not meta.get("superclasses"):
        return None
    names, of_class = meta["superclasses"], meta.get("superclass_of", [])
    if len(of_class) != len(classes) or not set(of_class) <= set(range(len(names))):
        file = Path("data/prepared", evaluation.export["dataset"], "meta.json")
        expected = f"one from 0 to {len(names) - 1} for each of {len(classes)} classes; prepare it again"
        raise ConvzooError(f"{file}: superclass_of has {len(of_class)} numbers, expected {expected}")
    return Superclasses(names, np.array(of_class, np.int64))


def _coarse_predictions(evaluation: Evaluation, superclasses: Superclasses) -> Predictions:
    sums = superclass_probabilities(evaluation.probabilities, superclasses.of_class)
    return Predictions.most_probable(superclasses.names, superclasses.of_class[evaluation.labels], sums)


def _draw_confusion(path: Path, predictions: Predictions, superclasses: Superclasses | None) -> None:
    if superclasses and len(predictions.names) > MAX_LABELLED:
        _draw_grouped_confusion(path, predictions.matrix, superclasses)
    else:
        draw_confusion(path, predictions.matrix, predictions.names)


def _draw_grouped_confusion(path: Path, matrix: np.ndarray, superclasses: Superclasses) -> None:
    """Draw the classes grouped by superclass and name only superclasses: a hundred names would be unreadable."""
    order = np.argsort(superclasses.of_class, kind="stable")
    sizes = np.bincount(superclasses.of_class, minlength=len(superclasses.names))
    ends = np.cumsum(sizes) - 0.5
    centres = ends - sizes / 2
    with picture(path, 10.4, 9.5) as figure:
        axes = draw_matrix(figure, matrix[np.ix_(order, order)], "class")
        axes.set_title("Predictions by actual class, sorted by superclass")
        axes.set_xticks(centres, superclasses.names, rotation=90)
        axes.set_yticks(centres, superclasses.names)
        axes.tick_params(length=0)
        axes.hlines(ends[:-1], *axes.get_xlim(), color=GREY, linewidth=0.5)
        axes.vlines(ends[:-1], *axes.get_ylim(), color=GREY, linewidth=0.5)
