"""Promotion of networks that predict class probabilities: they are compared by accuracy."""

from typing import Any

import numpy as np

from convzoo.data.arrays import Split
from convzoo.errors import ConvzooError
from convzoo.families.probabilities.settings import PromotionSettings
from convzoo.metrics import classification
from convzoo.promotion.comparison import Difference, accuracy_difference
from convzoo.promotion.measuring import Measurement
from convzoo.shipping.model import Model, run_in_batches


class ProbabilityEvaluator:
    """Compares networks by the images that each classifies correctly."""

    main = "accuracy"

    def __init__(self, settings: PromotionSettings, meta: dict[str, Any]) -> None:
        self.settings = settings
        self.superclass_of = np.array(meta["superclass_of"]) if meta.get("superclasses") else None

    def measure(self, model: Model, split: Split) -> Measurement:
        """Return accuracy, lowest recall and calibration error; raises ConvzooError for another number of classes."""
        predicted = run_in_batches(model, split.images, self.settings.batch_size)
        try:
            classification.check_probabilities(predicted, split.labels)
        except ValueError as error:
            raise ConvzooError(f"{model.path}: {error}, expected the classes of these images") from error
        labels = classification.most_probable(predicted)
        bins = classification.calibration_bins(predicted, split.labels, self.settings.calibration_bins)
        scores = classification.class_scores(split.labels, labels, predicted.shape[1])
        values = {
            "accuracy": float((labels == split.labels).mean()),
            "class_recall": min(score.recall for score in scores if score.images),
            "calibration_error": classification.calibration_error(bins),
        }
        if self.superclass_of is not None:
            coarse = classification.most_probable(
                classification.superclass_probabilities(predicted, self.superclass_of)
            )
            values["coarse_accuracy"] = float((coarse == self.superclass_of[split.labels]).mean())
        return Measurement(values, labels == split.labels)

    def compare(self, candidate: Measurement, champion: Measurement) -> Difference:
        """Return how much higher the candidate's accuracy is."""
        return accuracy_difference(candidate.outcomes, champion.outcomes, self.settings.confidence)


def evaluator(settings: PromotionSettings, meta: dict[str, Any], weights: str) -> ProbabilityEvaluator:
    """Return the evaluator for images that `meta` (meta.json) describes."""
    return ProbabilityEvaluator(settings, meta)
