"""What the settings of all families with class probabilities have in common."""

from convzoo.settings.load import Settings
from convzoo.settings.promotion import Ceilings, Promotion
from convzoo.settings.types import AtLeastTwo, Positive, Share, ShareBetween


class ExportSettings(Settings):
    """How a trained network becomes the file that ships."""

    views: str  # what the file averages over for each image; the choices are the family's
    calibrate: bool  # one temperature for all logits, fitted on val; the predicted class stays the same
    parity_images: Positive  # val images on which the file is checked against the weights


class EvaluationSettings(Settings):
    """How the exported file is measured on test."""

    batch_size: Positive
    confidence: ShareBetween  # of the interval around the accuracy
    top_k: AtLeastTwo
    calibration_bins: Positive
    mistakes_shown: Positive


class ProbabilityFloors(Settings):
    """The least that is required; null: not required."""

    accuracy: Share | None
    class_recall: Share | None  # of the worst class
    coarse_accuracy: Share | None  # of superclasses, for data that have them


class ProbabilityCeilings(Ceilings):
    """The most that is allowed; null: any."""

    calibration_error: Share | None  # expected calibration error


class PromotionSettings(Promotion):
    """What a version must reach."""

    floors: ProbabilityFloors
    ceilings: ProbabilityCeilings
    batch_size: Positive
    calibration_bins: Positive
