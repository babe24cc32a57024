"""Promotion of a DCGAN: generators are compared by KID."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convzoo.data.arrays import Split, evenly_spaced
from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.settings import PromotionSettings
from convzoo.metrics.distances import precision_recall
from convzoo.metrics.features import FeatureNetwork
from convzoo.metrics.kid import kernel, kid
from convzoo.promotion.comparison import Difference, KidSamples, kid_difference
from convzoo.promotion.measuring import Measurement
from convzoo.shipping.model import Model, run_in_batches


class GeneratorEvaluator:
    """Compares generators by KID to real images, over repeated samples from the same latents."""

    main = "kid"

    def __init__(self, settings: PromotionSettings, features: FeatureNetwork) -> None:
        self.settings, self.features = settings, features
        self._generated: dict[Path, list[np.ndarray]] = {}  # features, since val and test use the same samples

    def measure(self, model: Model, split: Split) -> Measurement:
        """Return the means of KID, precision and recall over the repeated samples."""
        real = self.features(split.images[evenly_spaced(len(split.images), self.settings.real_images)])
        if model.path not in self._generated:
            self._generated[model.path] = [self._sample(model, repeat) for repeat in range(self.settings.repeats)]
        generated = self._generated[model.path]
        samples = kid_samples(real, generated)
        shares = np.mean([precision_recall(real, sample, self.settings.neighbours) for sample in generated], axis=0)
        values = {"kid": samples.kids.mean(), "precision": shares[0], "recall": shares[1]}
        return Measurement({name: float(value) for name, value in values.items()}, samples)

    def compare(self, candidate: Measurement, champion: Measurement) -> Difference:
        """Return how much lower the candidate's KID is."""
        return kid_difference(candidate.outcomes, champion.outcomes, self.settings.confidence)

    def _sample(self, model: Model, repeat: int) -> np.ndarray:
        noise = latents(self.settings.images, model.input.shape[1], self.settings.seed + repeat)
        return self.features(run_in_batches(model, noise, self.settings.batch_size))


def evaluator(settings: PromotionSettings, meta: dict[str, Any], weights: str) -> GeneratorEvaluator:
    """Return the evaluator with the feature network data/weights/`weights`. Raises ConvzooError if that is missing."""
    return GeneratorEvaluator(settings, FeatureNetwork(weights, meta["shape"][-1]))


def kid_samples(real: np.ndarray, samples: Sequence[np.ndarray]) -> KidSamples:
    """Return KIDs of samples, each the features (M, D) of generated images, against real features (N, D)."""
    kids = np.array([kid(real, sample) for sample in samples])
    return KidSamples(kids, np.mean([kernel(real, sample).mean(axis=1) for sample in samples], axis=0))
