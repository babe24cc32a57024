"""What the card of a transfer network says."""

from convzoo.cards.family import FamilyCard, Outcome, Rating
from convzoo.cards.markdown import percent
from convzoo.families.probabilities import card as probabilities
from convzoo.shipping.network_files import NetworkFiles

SIGNIFICANT = 0.05  # p-value below which a difference counts as one


def rating(files: NetworkFiles) -> Rating:
    """Compare the accuracy with guessing, and with the head on the untouched backbone if that was measured."""
    outcome, reason = probabilities.rating(files)
    gain = files.numbers.get("test_gain")
    if gain is None:
        return Rating(outcome, reason)
    p_value = files.numbers.get("test_gain_p_value", 1)
    head = f"The head alone on the untouched backbone reaches {percent(files.numbers['test_features_accuracy'], 1)}"
    if p_value >= SIGNIFICANT:
        head += f", a difference that may be chance (p = {p_value:.2g})"
    elif gain < 0 and outcome is Outcome.GOOD:
        outcome = Outcome.WEAK
    return Rating(outcome, f"{reason} {head}.")


CARD = FamilyCard(
    noun="a classifier on a pretrained backbone",
    usage=probabilities.USAGE,
    task=probabilities.task,
    main=probabilities.MAIN,
    result=probabilities.result,
    rating=rating,
    main_metrics=("test_accuracy", "test_features_accuracy", "test_calibration_error", "test_images"),
    intended_use=probabilities.intended_use,
    weaknesses=probabilities.weaknesses,
    picture=probabilities.PICTURE,
    captions=probabilities.CAPTIONS
    | {"features_and_finetuned": "Accuracy by class, fine-tuned and with the head on the untouched backbone."},
)
