"""What the card of a transfer network says."""

from convzoo.cards.family import Comparison, FamilyCard
from convzoo.families.probabilities import card as probabilities
from convzoo.shipping.network_files import NetworkFiles
from convzoo.text import percent

SIGNIFICANT = 0.05  # p-value below which a difference counts as one


def comparison(files: NetworkFiles) -> Comparison | None:
    """Compare the accuracy with guessing, and with the head on the untouched backbone if that was measured."""
    guessing, metrics = probabilities.comparison(files), files.numbers
    if guessing is None or "test_features_accuracy" not in metrics:
        return guessing
    head = f"The head alone on the untouched backbone reaches {percent(metrics['test_features_accuracy'], 1)}"
    p_value = metrics.get("test_gain_p_value", 1)
    by_chance = f", a difference that may be chance (p = {p_value:.2g})" if p_value >= SIGNIFICANT else ""
    return guessing._replace(sentence=f"{guessing.sentence} {head}{by_chance}.")


def failures(files: NetworkFiles) -> list[str]:
    """Return those of a classifier, and the accuracies if fine-tuning made the network worse."""
    lines, metrics = probabilities.failures(files), files.numbers
    if metrics.get("test_gain", 0) >= 0 or metrics.get("test_gain_p_value", 1) >= SIGNIFICANT:
        return lines
    tuned, head = percent(metrics["test_accuracy"]), percent(metrics["test_features_accuracy"])
    return [
        *lines,
        f"fine-tuning made it worse: accuracy {tuned}, the head alone on the untouched backbone {head}",
    ]


CARD = FamilyCard(
    noun="a classifier on a pretrained backbone",
    usage=probabilities.USAGE,
    task=probabilities.task,
    result=probabilities.result,
    main_label=probabilities.MAIN_LABEL,
    higher_is_better=True,
    main_metrics=("test_accuracy", "test_features_accuracy", "test_calibration_error", "test_images"),
    intended_use=probabilities.intended_use,
    weaknesses=probabilities.weaknesses,
    failures=failures,
    comparison=comparison,
    picture=probabilities.PICTURE,
    captions=probabilities.CAPTIONS
    | {"features_and_finetuned": "Accuracy by class, fine-tuned and with the head on the untouched backbone."},
)
