"""What a registered file reaches on a split: the numbers that floors and ceilings ask for, and what is compared."""

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
from convzoo.metrics import classification as measures
from convzoo.metrics.classification import superclass_probabilities
from convzoo.metrics.features import FeatureNetwork
from convzoo.metrics.images import psnr
from convzoo.metrics.kid import kernel, kid
from convzoo.promotion.comparison import Difference, Kids, of_answers, of_errors, of_samples
from convzoo.settings.promotion import Promotion
from convzoo.shipping.files import TIMED, WARM_UP
from convzoo.shipping.model import Model, run_in_batches


class Measured(NamedTuple):
    """What a file reached on a split."""

    values: dict[str, float]  # by the names that floors and ceilings have
    outcome: np.ndarray | Kids  # right answers, squared errors or KIDs: what `Ruler.compare` takes


class Ruler(Protocol):
    """How files of a family are measured and compared."""

    main: str  # the value that the comparison is about

    def measure(self, model: Model, split: Split) -> Measured:
        """Raises ConvzooError where the file does not fit the split."""

    def compare(self, candidate: Measured, champion: Measured) -> Difference:
        """By how much the candidate is better."""


class Answers:
    """Of classifiers: the share of right answers, image by image."""

    main = "accuracy"

    def __init__(self, settings: probabilities.PromotionSettings, meta: dict[str, Any]) -> None:
        self.settings = settings
        self.superclass_of = np.array(meta["superclass_of"]) if meta.get("superclasses") else None

    def measure(self, model: Model, split: Split) -> Measured:
        found = run_in_batches(model, split.images, self.settings.batch_size)
        try:
            measures.check_probabilities(found, split.labels)
        except ValueError as error:
            raise ConvzooError(f"{model.path}: {error}, expected the classes of these images") from error
        answers = found.argmax(axis=1)
        bins = measures.calibration_bins(found, split.labels, self.settings.calibration_bins)
        scores = measures.class_scores(split.labels, answers, found.shape[1])
        values = {
            "accuracy": float((answers == split.labels).mean()),
            "class_recall": min(score.recall for score in scores if score.images),
            "calibration_error": measures.calibration_error(bins),
        }
        if self.superclass_of is not None:
            coarse = superclass_probabilities(found, self.superclass_of).argmax(axis=1)
            values["coarse_accuracy"] = float((coarse == self.superclass_of[split.labels]).mean())
        return Measured(values, answers == split.labels)

    def compare(self, candidate: Measured, champion: Measured) -> Difference:
        return of_answers(candidate.outcome, champion.outcome, self.settings.confidence)


class Fidelity:
    """Of autoencoders: PSNR, by the squared error of each image."""

    main = "psnr"

    def __init__(self, settings: autoencoder.PromotionSettings) -> None:
        self.settings = settings

    def measure(self, model: Model, split: Split) -> Measured:
        errors = []
        for start in range(0, len(split.images), self.settings.batch_size):
            images = np.asarray(split.images[start : start + self.settings.batch_size])
            gaps = images.astype(np.float32) - model(images)
            errors.append(np.square(gaps).mean(axis=(1, 2, 3), dtype=np.float64))
        mse = np.concatenate(errors)
        return Measured({"psnr": float(psnr(mse.mean()))}, mse)

    def compare(self, candidate: Measured, champion: Measured) -> Difference:
        settings = self.settings
        return of_errors(candidate.outcome, champion.outcome, settings.confidence, settings.resamples, settings.seed)


class Samples:
    """Of generators: KID to real images, over repeated samples; every generator gets the same latents."""

    main = "kid"

    def __init__(self, settings: dcgan.PromotionSettings, features: FeatureNetwork) -> None:
        self.settings, self.features = settings, features
        self._generated: dict[Path, list[np.ndarray]] = {}  # features, since val and test ask for the same samples

    def measure(self, model: Model, split: Split) -> Measured:
        real = self.features(split.images[evenly_spaced(len(split.images), self.settings.real_images)])
        if model.path not in self._generated:
            self._generated[model.path] = [self._sample(model, repeat) for repeat in range(self.settings.repeats)]
        found = kids_of(real, self._generated[model.path])
        return Measured({"kid": float(found.kids.mean())}, found)

    def compare(self, candidate: Measured, champion: Measured) -> Difference:
        return of_samples(candidate.outcome, champion.outcome, self.settings.confidence)

    def _sample(self, model: Model, repeat: int) -> np.ndarray:
        noise = latents(self.settings.images, model.input.shape[1], self.settings.seed + repeat)
        return self.features(run_in_batches(model, noise, self.settings.batch_size))


def kids_of(real: np.ndarray, samples: Sequence[np.ndarray]) -> Kids:
    """KIDs of samples, features (M, D) each, against real features (N, D)."""
    kids = np.array([kid(real, sample) for sample in samples])
    return Kids(kids, np.mean([kernel(real, sample).mean(axis=1) for sample in samples], axis=0))


def ruler(settings: Promotion, meta: dict[str, Any], weights: str) -> Ruler:
    """How the family of these settings is measured; `meta` is the data's meta.json, `weights` the network's block.

    Raises ConvzooError where a generator's feature network is missing.
    """
    match settings:
        case probabilities.PromotionSettings():
            return Answers(settings, meta)
        case autoencoder.PromotionSettings():
            return Fidelity(settings)
        case dcgan.PromotionSettings():
            return Samples(settings, FeatureNetwork(weights, meta["shape"][-1]))
    raise TypeError(type(settings).__name__)


def latencies(models: Sequence[Model], image: np.ndarray) -> list[float]:
    """The median milliseconds of a call with one input, `image` (1, H, W, C) or latents.

    The models are called in turn, so that all meet the same moments of the machine.
    """
    inputs = [image if model.input.dtype == "uint8" else latents(1, model.input.shape[1], 0) for model in models]
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(WARM_UP + TIMED):
        for model, one, found in zip(models, inputs, seconds, strict=True):
            started = time.perf_counter()
            model(one)
            found.append(time.perf_counter() - started)
    return [1000 * statistics.median(found[WARM_UP:]) for found in seconds]
