"""Measures a network that started from published weights, and its head on the untouched backbone beside it, on test."""

from pathlib import Path
from typing import Any

import numpy as np

from convzoo.data.arrays import load_array
from convzoo.data.contact_sheet import contact_sheet, in_rows, write_picture
from convzoo.families.probabilities.evaluate import (
    Answers,
    Tested,
    accuracy,
    check,
    draw,
    draw_confusion,
    metrics_of,
    run_on_test,
    tell,
    write_csv,
)
from convzoo.families.transfer.settings import EvaluationSettings
from convzoo.files import new_folder, write_json
from convzoo.metrics import classification as measures
from convzoo.metrics.classification import average_views, mcnemar_test
from convzoo.plots import BLUE, GREY, ORANGE, picture
from convzoo.shipping.files import rounded, shipped_part
from convzoo.shipping.model import Model, run_in_batches

HEAD_ONLY = "features_head.onnx"  # in parts/
AUGMENTED_COLUMNS = 8  # of the picture of augmented train images
NAMES = {"features": "head on the untouched backbone", "finetune": "fine-tuned"}


def evaluate(network: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Measure models/NETWORK/model.onnx on its test split: writes metrics.json and plots/, returns the metrics.

    Scores are shares from 0 to 1, the loss is in nats. Where the backbone was tuned, the head on the untouched one
    (parts/features_head.onnx) answers the same images over the same views, and both ways are compared. Speed is printed
    and written nowhere, so that the files only change with the results. Raises ConvzooError where the files do not fit
    each other.
    """
    folder = Path("models") / network
    tested = run_on_test(network, settings)
    metrics = metrics_of(tested, settings)
    more = ""
    if tested.export["method"] == "finetune":
        head = _head_only(network, shipped_part(folder, tested.export, HEAD_ONLY), tested, settings)
        metrics |= _compared(tested, head, settings)
        more = f", the head on the untouched backbone {metrics['test_features_accuracy']:.2%}"
    metrics = rounded(metrics)

    augmented = load_array(folder / "extra/augmented_batch.npy", network)

    with new_folder(folder / "plots") as plots:
        draw(plots, tested, settings)
        write_picture(contact_sheet(in_rows(augmented, AUGMENTED_COLUMNS)), plots / "augmented_batch.png")
        draw_confusion(plots / "confusion.png", tested.fine.matrix, tested.fine.names)
        if more:
            _draw_ways(plots / "features_and_finetuned", tested.fine, _answers(tested, head), settings)
    write_json(folder / "metrics.json", metrics)
    tell(network, tested, settings, metrics, more)
    return metrics


def _head_only(network: str, model: Model, tested: Tested, settings: EvaluationSettings) -> np.ndarray:
    views = [tested.images]
    if tested.export["views"] == "mirror":
        views.append(tested.images[:, :, ::-1])
    found = average_views([run_in_batches(model, view, settings.batch_size, progress=network) for view in views])
    check(model, found, tested.labels, len(tested.export["classes"]), Path("data/prepared", tested.export["dataset"]))
    return found


def _answers(tested: Tested, probabilities: np.ndarray) -> Answers:
    return Answers(tested.fine.names, tested.labels, probabilities.argmax(axis=1), probabilities.max(axis=1))


def _compared(tested: Tested, head: np.ndarray, settings: EvaluationSettings) -> dict[str, Any]:
    fine, answers, count = tested.fine, _answers(tested, head), len(tested.labels)
    found = mcnemar_test(tested.labels, fine.answers, answers.answers)
    ways = (
        (NAMES["finetune"], fine, tested.probabilities, found.first_only),
        (NAMES["features"], answers, head, found.second_only),
    )
    return {
        **accuracy("test_features_accuracy", answers, settings.confidence),
        "test_gain": (fine.correct - answers.correct) / count,
        "test_gain_p_value": found.p_value,
        "ways": {
            name: {
                "accuracy": each.correct / count,
                "loss": measures.log_loss(probabilities, tested.labels),
                "right": each.correct,
                "right_alone": alone,
                "images": count,
            }
            for name, each, probabilities, alone in ways
        },
    }


def _draw_ways(path: Path, fine: Answers, head: Answers, settings: EvaluationSettings) -> None:
    """Both ways side by side: all images with the interval, and each class's."""
    rows = []
    for name, answers in (("fine-tuned", fine), ("features", head)):
        low, high = measures.wilson_interval(answers.correct, len(answers.labels), settings.confidence)
        rows.append((name, "all", len(answers.labels), answers.correct / len(answers.labels), low, high))
        for label, kind in enumerate(answers.names):
            here = answers.labels == label
            correct, images = int((answers.answers[here] == label).sum()), int(here.sum())
            bounds = measures.wilson_interval(correct, images, settings.confidence) if images else (0.0, 1.0)
            rows.append((name, kind, images, correct / max(images, 1), *bounds))
    write_csv(path.with_suffix(".csv"), ["way", "class", "images", "accuracy", "low", "high"], rows)

    kinds = ["all", *fine.names]
    places = np.arange(len(kinds)) + 0.4 * (np.arange(len(kinds)) > 0)  # a little space below all images
    with picture(path.with_suffix(".png"), 6.2, 1.5 + 0.42 * len(kinds)) as figure:
        axes = figure.subplots()
        for name, shift, colour, mark in (("features", -0.13, ORANGE, "o"), ("fine-tuned", 0.13, BLUE, "D")):
            found = [row for row in rows if row[0] == name]
            title = NAMES["features" if name == "features" else "finetune"]
            axes.hlines(
                places + shift,
                [row[4] for row in found],
                [row[5] for row in found],
                color=colour,
                alpha=0.35,
                linewidth=4,
            )
            axes.plot([row[3] for row in found], places + shift, mark, color=colour, label=title, markersize=6)
        axes.axhline(0.7, color=GREY, linewidth=0.6)
        lowest = min(row[4] for row in rows)
        axes.set(xlim=(max(0, lowest - 0.02), 1.005), ylim=(places[-1] + 0.5, -0.5))
        axes.set_yticks(
            places, [f"{kind} ({images})" for kind, images in ((row[1], row[2]) for row in rows[: len(kinds)])]
        )
        axes.set_title("Test images answered right, by class (number of images)")
        axes.set_xlabel(f"share, with its {settings.confidence:.0%} interval")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
