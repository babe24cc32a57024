"""Settings shared by all families that predict class probabilities."""

from convzoo.settings.load import Settings
from convzoo.settings.promotion import Ceilings, Promotion
from convzoo.settings.types import AtLeastTwo, Positive, Share, ShareBetween


class ExportSettings(Settings):
    """Settings of the export."""

    views: str  # the versions of an image that the file averages over; each family has its choices
    calibrate: bool  # divide logits by one temperature, fitted on val; predicted classes stay the same
    parity_images: Positive  # val images on which the file is checked against the weights


class EvaluationSettings(Settings):
    """Settings of the evaluation on test."""

    batch_size: Positive
    confidence: ShareBetween  # of the interval around the accuracy
    top_k: AtLeastTwo
    calibration_bins: Positive
    mistakes_shown: Positive


class ProbabilityFloors(Settings):
    """Minimum values that a version must reach; null: not required."""

    accuracy: Share | None
    class_recall: Share | None  # of the worst class
    coarse_accuracy: Share | None  # of superclasses, for data that have them


class ProbabilityCeilings(Ceilings):
    """Maximum values that a version may have; null: not limited."""

    calibration_error: Share | None  # expected calibration error


class PromotionSettings(Promotion):
    """Settings of the promotion."""

    floors: ProbabilityFloors
    ceilings: ProbabilityCeilings
    batch_size: Positive
    calibration_bins: Positive
