"""What the card of a transfer network says."""

from convzoo.cards.family import FamilyCard
from convzoo.cards.markdown import number, percent
from convzoo.families.probabilities import card as probabilities
from convzoo.shipping.network_files import NetworkFiles


def weaknesses(files: NetworkFiles, most: int) -> list[str]:
    """Return those of a classifier, and what fine-tuning gained."""
    lines = probabilities.weaknesses(files, most)
    if "test_gain" in files.metrics:
        gain, p_value = 100 * files.metrics["test_gain"], files.metrics.get("test_gain_p_value")
        lines.append(
            f"Fine-tuning changed the accuracy by {gain:+.2f} points compared with a head on the frozen backbone "
            f"(p = {number('p', p_value)})."
        )
    return lines


def failures(files: NetworkFiles) -> list[str]:
    """Return those of a classifier, and the accuracies if fine-tuning gained nothing although there was room."""
    lines, metrics = probabilities.failures(files), files.numbers
    tuned, head = metrics.get("test_accuracy", 1), metrics.get("test_features_accuracy", 0)
    if tuned > head or tuned == 1:
        return lines
    return [
        *lines,
        f"fine-tuning gained nothing: accuracy {percent(tuned)}, a head on the frozen backbone {percent(head)}",
    ]


CARD = FamilyCard(
    noun="a classifier on a pretrained backbone",
    usage=probabilities.USAGE,
    main_metrics=("test_accuracy", "test_features_accuracy", "test_calibration_error", "test_images"),
    intended_use=probabilities.intended_use,
    weaknesses=weaknesses,
    failures=failures,
)
