"""Measures a classifier's exported file, the one that ships, on the test images."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.data.arrays import load_array
from convzoo.data.contact_sheet import contact_sheet, in_rows, write_picture
from convzoo.errors import ConvzooError
from convzoo.families.classifier.settings import EvaluationSettings
from convzoo.families.probabilities.evaluate import (
    FEW,
    Answers,
    accuracy,
    draw,
    draw_confusion,
    metrics_of,
    run_on_test,
    shown_matrix,
    tell,
    write_answers,
)
from convzoo.files import new_folder, write_json
from convzoo.metrics.classification import superclass_probabilities
from convzoo.plots import GREY, picture
from convzoo.shipping.files import rounded

AUGMENTED_COLUMNS = 12  # of the picture of augmented train images


class Superclasses(NamedTuple):
    """What classes belong to."""

    names: list[str]
    of: np.ndarray  # int64 (K,): the number of each class's superclass


def evaluate(network: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Measure models/NETWORK/model.onnx on its test split: writes metrics.json and plots/, returns the metrics.

    Scores are shares from 0 to 1, the loss is in nats. Where the data set has superclasses, the coarse accuracy counts
    answers with the right one: that with the largest sum of its classes' probabilities. Speed is printed and written
    nowhere, so that the files only change with the results. Raises ConvzooError where the files do not fit each other.
    """
    folder = Path("models") / network
    tested = run_on_test(network, settings)
    classes, fine = tested.export["classes"], tested.fine
    superclasses = _superclasses(Path("data/prepared", tested.export["dataset"], "meta.json"), tested.meta, classes)
    metrics = metrics_of(tested, settings)
    if superclasses:
        summed = superclass_probabilities(tested.probabilities, superclasses.of)
        labels = superclasses.of[tested.labels]
        coarse = Answers(superclasses.names, labels, summed.argmax(axis=1), summed.max(axis=1))
        metrics |= accuracy("test_coarse_accuracy", coarse, settings.confidence)
    metrics = rounded(metrics)

    augmented = load_array(folder / "extra/augmented_batch.npy", network)

    with new_folder(folder / "plots") as plots:
        draw(plots, tested, settings)
        write_picture(contact_sheet(in_rows(augmented, AUGMENTED_COLUMNS)), plots / "augmented_batch.png")
        if superclasses and len(classes) > FEW:
            _draw_grouped_confusion(plots / "confusion.png", fine.matrix, superclasses)
        else:
            draw_confusion(plots / "confusion.png", fine.matrix, classes)
        if superclasses:
            write_answers(plots / "superclasses.csv", tested.ids, coarse)
            draw_confusion(plots / "superclasses.png", coarse.matrix, superclasses.names, "superclass")
    write_json(folder / "metrics.json", metrics)
    more = f", of superclasses {metrics['test_coarse_accuracy']:.2%}" if superclasses else ""
    tell(network, tested, settings, metrics, more)
    return metrics


def _superclasses(file: Path, meta: dict[str, Any], classes: list[str]) -> Superclasses | None:
    """The superclasses of a prepared set, where it has any."""
    if not meta.get("superclasses"):
        return None
    names, of = meta["superclasses"], meta.get("superclass_of", [])
    if len(of) != len(classes) or not set(of) <= set(range(len(names))):
        expected = f"one from 0 to {len(names) - 1} for each of {len(classes)} classes; prepare it again"
        raise ConvzooError(f"{file}: superclass_of has {len(of)} numbers, expected {expected}")
    return Superclasses(names, np.array(of, np.int64))


def _draw_grouped_confusion(path: Path, matrix: np.ndarray, superclasses: Superclasses) -> None:
    """The classes of a superclass side by side, which alone is named: a hundred names could not be read."""
    order = np.argsort(superclasses.of, kind="stable")
    sizes = np.bincount(superclasses.of, minlength=len(superclasses.names))
    ends = np.cumsum(sizes) - 0.5
    middles = ends - sizes / 2
    with picture(path, 10.4, 9.5) as figure:
        axes = shown_matrix(figure, matrix[np.ix_(order, order)], "class")
        axes.set_title("Answers to the images of each class, by superclass")
        axes.set_xticks(middles, superclasses.names, rotation=90)
        axes.set_yticks(middles, superclasses.names)
        axes.tick_params(length=0)
        axes.hlines(ends[:-1], *axes.get_xlim(), color=GREY, linewidth=0.5)
        axes.vlines(ends[:-1], *axes.get_ylim(), color=GREY, linewidth=0.5)
