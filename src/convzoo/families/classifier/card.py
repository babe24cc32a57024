"""What the card of a classifier says."""

from convzoo.cards.family import FamilyCard
from convzoo.families.probabilities import card as probabilities

CARD = FamilyCard(
    noun="a convolutional classifier",
    usage=probabilities.USAGE,
    main_metrics=("test_accuracy", "test_coarse_accuracy", "test_calibration_error", "test_images"),
    intended_use=probabilities.intended_use,
    weaknesses=probabilities.weaknesses,
    failures=probabilities.failures,
)
