"""What the card of a classifier says."""

from convzoo.cards.family import FamilyCard
from convzoo.families.probabilities import card as probabilities

CARD = FamilyCard(
    noun="a convolutional classifier",
    usage=probabilities.USAGE,
    task=probabilities.task,
    result=probabilities.result,
    main_label=probabilities.MAIN_LABEL,
    higher_is_better=True,
    main_metrics=("test_accuracy", "test_coarse_accuracy", "test_calibration_error", "test_images"),
    intended_use=probabilities.intended_use,
    weaknesses=probabilities.weaknesses,
    failures=probabilities.failures,
    comparison=probabilities.comparison,
    picture=probabilities.PICTURE,
    captions=probabilities.CAPTIONS,
)
