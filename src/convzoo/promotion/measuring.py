"""The metrics of a registered file on a split, per family, and comparisons of two files."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from convzoo.data.arrays import Split, evenly_spaced
from convzoo.errors import ConvzooError
from convzoo.families.autoencoder import settings as autoencoder
from convzoo.families.dcgan import settings as dcgan
from convzoo.families.dcgan.latents import latents
from convzoo.families.probabilities import settings as probabilities
from convzoo.metrics import classification
from convzoo.metrics.features import FeatureNetwork
from convzoo.metrics.images import psnr
from convzoo.metrics.kid import kernel, kid
from convzoo.promotion.comparison import Difference, KidSamples, accuracy_difference, kid_difference, psnr_difference
from convzoo.settings.promotion import Promotion
from convzoo.shipping.files import TIMED, WARM_UP
from convzoo.shipping.model import Model, run_in_batches


class Measurement(NamedTuple):
    """The metrics of a file on a split."""

    values: dict[str, float]  # metrics by the names of floors and ceilings
    outcomes: np.ndarray | KidSamples  # correct predictions, squared errors or KIDs, for `Evaluator.compare`


class Evaluator(Protocol):
    """Measures and compares files of a family."""

    main: str  # the metric that is compared

    def measure(self, model: Model, split: Split) -> Measurement:
        """The metrics of `model`. Raises ConvzooError if the file does not fit the split."""

    def compare(self, candidate: Measurement, champion: Measurement) -> Difference:
        """How much better the candidate is."""


class ClassifierEvaluator:
    """Compares classifiers by accuracy."""

    main = "accuracy"

    def __init__(self, settings: probabilities.PromotionSettings, meta: dict[str, Any]) -> None:
        self.settings = settings
        self.superclass_of = np.array(meta["superclass_of"]) if meta.get("superclasses") else None

    def measure(self, model: Model, split: Split) -> Measurement:
        predicted = run_in_batches(model, split.images, self.settings.batch_size)
        try:
            classification.check_probabilities(predicted, split.labels)
        except ValueError as error:
            raise ConvzooError(f"{model.path}: {error}, expected the classes of these images") from error
        labels = predicted.argmax(axis=1)
        bins = classification.calibration_bins(predicted, split.labels, self.settings.calibration_bins)
        scores = classification.class_scores(split.labels, labels, predicted.shape[1])
        values = {
            "accuracy": float((labels == split.labels).mean()),
            "class_recall": min(score.recall for score in scores if score.images),
            "calibration_error": classification.calibration_error(bins),
        }
        if self.superclass_of is not None:
            coarse = classification.superclass_probabilities(predicted, self.superclass_of).argmax(axis=1)
            values["coarse_accuracy"] = float((coarse == self.superclass_of[split.labels]).mean())
        return Measurement(values, labels == split.labels)

    def compare(self, candidate: Measurement, champion: Measurement) -> Difference:
        return accuracy_difference(candidate.outcomes, champion.outcomes, self.settings.confidence)


class AutoencoderEvaluator:
    """Compares autoencoders by PSNR, from the squared error of each image."""

    main = "psnr"

    def __init__(self, settings: autoencoder.PromotionSettings) -> None:
        self.settings = settings

    def measure(self, model: Model, split: Split) -> Measurement:
        errors = []
        for start in range(0, len(split.images), self.settings.batch_size):
            images = np.asarray(split.images[start : start + self.settings.batch_size])
            differences = images.astype(np.float32) - model(images)
            errors.append(np.square(differences).mean(axis=(1, 2, 3), dtype=np.float64))
        mse = np.concatenate(errors)
        return Measurement({"psnr": float(psnr(mse.mean()))}, mse)

    def compare(self, candidate: Measurement, champion: Measurement) -> Difference:
        settings = self.settings
        return psnr_difference(
            candidate.outcomes, champion.outcomes, settings.confidence, settings.resamples, settings.seed
        )


class GeneratorEvaluator:
    """Compares generators by KID to real images, over repeated samples from the same latents."""

    main = "kid"

    def __init__(self, settings: dcgan.PromotionSettings, features: FeatureNetwork) -> None:
        self.settings, self.features = settings, features
        self._generated: dict[Path, list[np.ndarray]] = {}  # features, since val and test use the same samples

    def measure(self, model: Model, split: Split) -> Measurement:
        real = self.features(split.images[evenly_spaced(len(split.images), self.settings.real_images)])
        if model.path not in self._generated:
            self._generated[model.path] = [self._sample(model, repeat) for repeat in range(self.settings.repeats)]
        samples = kid_samples(real, self._generated[model.path])
        return Measurement({"kid": float(samples.kids.mean())}, samples)

    def compare(self, candidate: Measurement, champion: Measurement) -> Difference:
        return kid_difference(candidate.outcomes, champion.outcomes, self.settings.confidence)

    def _sample(self, model: Model, repeat: int) -> np.ndarray:
        noise = latents(self.settings.images, model.input.shape[1], self.settings.seed + repeat)
        return self.features(run_in_batches(model, noise, self.settings.batch_size))


def kid_samples(real: np.ndarray, samples: Sequence[np.ndarray]) -> KidSamples:
    """KIDs of samples, each the features (M, D) of generated images, against real features (N, D)."""
    kids = np.array([kid(real, sample) for sample in samples])
    return KidSamples(kids, np.mean([kernel(real, sample).mean(axis=1) for sample in samples], axis=0))


def evaluator_for(settings: Promotion, meta: dict[str, Any], weights: str) -> Evaluator:
    """The evaluator for the family of `settings`; `meta` is the data's meta.json, `weights` the network's block.

    Raises ConvzooError if a generator's feature network is missing.
    """
    match settings:
        case probabilities.PromotionSettings():
            return ClassifierEvaluator(settings, meta)
        case autoencoder.PromotionSettings():
            return AutoencoderEvaluator(settings)
        case dcgan.PromotionSettings():
            return GeneratorEvaluator(settings, FeatureNetwork(weights, meta["shape"][-1]))
    raise TypeError(type(settings).__name__)


def latencies(models: Sequence[Model], image: np.ndarray) -> list[float]:
    """The median latency of each model in milliseconds, for one input: `image` (1, H, W, C) or latents.

    The models are called in turn, so that a varying load of the machine affects all of them alike.
    """
    inputs = [image if model.input.dtype == "uint8" else latents(1, model.input.shape[1], 0) for model in models]
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(WARM_UP + TIMED):
        for model, single, times in zip(models, inputs, seconds, strict=True):
            started = time.perf_counter()
            model(single)
            times.append(time.perf_counter() - started)
    return [1000 * statistics.median(times[WARM_UP:]) for times in seconds]
