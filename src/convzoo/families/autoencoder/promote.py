"""Promotion of an autoencoder: autoencoders are compared by PSNR."""

from typing import Any

import numpy as np

from convzoo.data.arrays import Split
from convzoo.families.autoencoder.settings import PromotionSettings
from convzoo.metrics.images import psnr
from convzoo.promotion.comparison import Difference, psnr_difference
from convzoo.promotion.measuring import Measurement
from convzoo.shipping.model import Model


class AutoencoderEvaluator:
    """Compares autoencoders by the squared error of each image."""

    main = "psnr"

    def __init__(self, settings: PromotionSettings) -> None:
        self.settings = settings

    def measure(self, model: Model, split: Split) -> Measurement:
        """Return the PSNR (dB) of the mean squared error over all images."""
        errors = []
        for start in range(0, len(split.images), self.settings.batch_size):
            images = np.asarray(split.images[start : start + self.settings.batch_size])
            differences = images.astype(np.float32) - model(images)
            errors.append(np.square(differences).mean(axis=(1, 2, 3), dtype=np.float64))
        mse = np.concatenate(errors)
        return Measurement({"psnr": float(psnr(mse.mean()))}, mse)

    def compare(self, candidate: Measurement, champion: Measurement) -> Difference:
        """Return how many dB the candidate's PSNR is higher."""
        settings = self.settings
        return psnr_difference(
            candidate.outcomes, champion.outcomes, settings.confidence, settings.resamples, settings.seed
        )


def evaluator(settings: PromotionSettings, meta: dict[str, Any], weights: str) -> AutoencoderEvaluator:
    """Return the evaluator."""
    return AutoencoderEvaluator(settings)
