"""Evaluates a transfer network on the test images, and compares it with its head on the untouched backbone."""

from pathlib import Path
from typing import Any

import numpy as np

from convzoo.data.arrays import load_array
from convzoo.data.contact_sheet import contact_sheet, in_rows, write_picture
from convzoo.families.evaluation import write_csv, write_results
from convzoo.families.probabilities.evaluate import (
    Evaluation,
    Predictions,
    accuracy_with_interval,
    check_probabilities,
    compute_metrics,
    draw_confusion,
    print_summary,
    run_on_test,
    write_plots,
)
from convzoo.families.transfer.settings import EvaluationSettings
from convzoo.files import new_folder
from convzoo.metrics.classification import average_views, log_loss, mcnemar_test, wilson_interval
from convzoo.plots import BLUE, GREY, ORANGE, picture
from convzoo.shipping.files import rounded, shipped_part
from convzoo.shipping.model import run_in_batches
from convzoo.text import percent

HEAD_ONLY = "features_head.onnx"  # in parts/
AUGMENTED_COLUMNS = 8  # of the sheet of augmented train images
NAMES = {"features": "head on the untouched backbone", "finetune": "fine-tuned"}


def evaluate(network: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Evaluate models/NETWORK/model.onnx on its test split: write evaluation.json, metrics.json and plots/.

    Scores are shares from 0 to 1, the loss is in nats. If the backbone was fine-tuned, the head on the untouched
    backbone (parts/features_head.onnx) classifies the same images over the same views, and the two are compared. Speed
    is only printed, so that the files change with the results alone. Raises ConvzooError if the files do not belong
    together.
    """
    folder = Path("models") / network
    evaluation = run_on_test(network, settings)
    finetuned = evaluation.export["method"] == "finetune"
    head = _evaluate_head(network, evaluation, settings) if finetuned else None
    augmented = load_array(folder / "extra/augmented_batch.npy", network)

    metrics = compute_metrics(evaluation, settings)
    if head:
        metrics |= _compare(evaluation, head, settings)
    metrics = rounded(metrics)

    with new_folder(folder / "plots") as plots:
        write_plots(plots, evaluation, settings)
        draw_confusion(plots / "confusion.png", evaluation.predictions.matrix, evaluation.predictions.names)
        if head:
            rows = _accuracy_by_class(evaluation.predictions, head.predictions, settings)
            write_csv(plots / "features_and_finetuned.csv", ["way", "class", "images", "accuracy", "low", "high"], rows)
            _draw_ways(plots / "features_and_finetuned.png", rows, settings)
        write_picture(contact_sheet(in_rows(augmented, AUGMENTED_COLUMNS)), plots / "augmented_batch.png")

    write_results(folder, metrics, "test_accuracy", "test_loss")

    more = f", the head on the untouched backbone {percent(metrics['test_features_accuracy'])}" if head else ""
    print_summary(network, evaluation, settings, metrics, more)
    return metrics


def _evaluate_head(network: str, evaluation: Evaluation, settings: EvaluationSettings) -> Evaluation:
    """Return the evaluation with the probabilities of the head on the untouched backbone."""
    model = shipped_part(Path("models") / network, evaluation.export, HEAD_ONLY)
    views = [evaluation.images]
    if evaluation.export["views"] == "mirror":
        views.append(evaluation.images[:, :, ::-1])
    outputs = [run_in_batches(model, view, settings.batch_size, progress=network) for view in views]
    probabilities = average_views(outputs)
    prepared = Path("data/prepared", evaluation.export["dataset"])
    check_probabilities(model, probabilities, evaluation.labels, len(evaluation.export["classes"]), prepared)
    return evaluation._replace(model=model, probabilities=probabilities)


def _compare(evaluation: Evaluation, head: Evaluation, settings: EvaluationSettings) -> dict[str, Any]:
    """Return the metrics of the head on the untouched backbone, and the gain from fine-tuning."""
    tuned, untouched, count = evaluation.predictions, head.predictions, len(evaluation.labels)
    test = mcnemar_test(evaluation.labels, tuned.predicted, untouched.predicted)
    ways = (
        (NAMES["finetune"], tuned, evaluation.probabilities, test.first_only),
        (NAMES["features"], untouched, head.probabilities, test.second_only),
    )
    return {
        **accuracy_with_interval("test_features_accuracy", untouched, settings.confidence),
        "test_gain": (tuned.correct - untouched.correct) / count,
        "test_gain_p_value": test.p_value,
        "ways": {
            name: {
                "accuracy": predictions.accuracy,
                "loss": log_loss(probabilities, evaluation.labels),
                "right": predictions.correct,
                "right_alone": only_correct,
                "images": count,
            }
            for name, predictions, probabilities, only_correct in ways
        },
    }


def _accuracy_by_class(
    tuned: Predictions, untouched: Predictions, settings: EvaluationSettings
) -> list[tuple[str, str, int, float, float, float]]:
    """Return rows of way, class (or `all`), images, accuracy and the bounds of its interval."""
    rows = []
    for name, predictions in (("fine-tuned", tuned), ("features", untouched)):
        low, high = wilson_interval(predictions.correct, len(predictions.labels), settings.confidence)
        rows.append((name, "all", len(predictions.labels), predictions.accuracy, low, high))
        for label, kind in enumerate(predictions.names):
            of_class = predictions.labels == label
            correct, images = int((predictions.predicted[of_class] == label).sum()), int(of_class.sum())
            bounds = wilson_interval(correct, images, settings.confidence) if images else (0.0, 1.0)
            rows.append((name, kind, images, correct / max(images, 1), *bounds))
    return rows


def _draw_ways(path: Path, rows: list[tuple[str, str, int, float, float, float]], settings: EvaluationSettings) -> None:
    """Draw the accuracies of both ways side by side with their intervals."""
    kinds = [row[1] for row in rows if row[0] == "features"]
    places = np.arange(len(kinds)) + 0.4 * (np.arange(len(kinds)) > 0)  # a little space below all images
    with picture(path, 6.2, 1.5 + 0.42 * len(kinds)) as figure:
        axes = figure.subplots()
        for name, shift, colour, mark in (("features", -0.13, ORANGE, "o"), ("fine-tuned", 0.13, BLUE, "D")):
            way = [row for row in rows if row[0] == name]
            title = NAMES["features" if name == "features" else "finetune"]
            axes.hlines(
                places + shift,
                [row[4] for row in way],
                [row[5] for row in way],
                color=colour,
                alpha=0.35,
                linewidth=4,
            )
            axes.plot([row[3] for row in way], places + shift, mark, color=colour, label=title, markersize=6)
        axes.axhline(0.7, color=GREY, linewidth=0.6)
        lowest = min(row[4] for row in rows)
        axes.set(xlim=(max(0, lowest - 0.02), 1.005), ylim=(places[-1] + 0.5, -0.5))
        axes.set_yticks(
            places, [f"{kind} ({images})" for kind, images in ((row[1], row[2]) for row in rows[: len(kinds)])]
        )
        axes.set_title("Accuracy on test by class (number of images)")
        axes.set_xlabel(f"share, with its {percent(settings.confidence, 0)} interval")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
