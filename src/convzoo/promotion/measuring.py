"""What promotion needs of a family: an evaluator of its registered files. And the latency of files of any family."""

import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from convzoo.data.arrays import Split
from convzoo.families.find import family_module
from convzoo.promotion.comparison import Difference, KidSamples
from convzoo.settings.promotion import Promotion
from convzoo.shipping.files import TIMED, WARM_UP
from convzoo.shipping.model import Model


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


def evaluator_for(family: str, settings: Promotion, meta: dict[str, Any], weights: str) -> Evaluator:
    """The evaluator that the function `evaluator` in families/FAMILY/promote.py returns.

    `meta` is the data's meta.json, `weights` the network's block in params.yaml. Raises ConvzooError if the family has
    no promote.py, and if a file that its evaluator needs is missing.
    """
    return family_module(family, "promote").evaluator(settings, meta, weights)


def latencies(models: Sequence[Model], image: np.ndarray) -> list[float]:
    """The median latency of each model in milliseconds, for one input: `image` (1, H, W, C) or random latents.

    The models are called in turn, so that a varying load of the machine affects all of them alike.
    """
    inputs = [image if model.input.dtype == "uint8" else _random_latents(model) for model in models]
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(WARM_UP + TIMED):
        for model, single, times in zip(models, inputs, seconds, strict=True):
            started = time.perf_counter()
            model(single)
            times.append(time.perf_counter() - started)
    return [1000 * statistics.median(times[WARM_UP:]) for times in seconds]


def _random_latents(model: Model) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, *model.input.shape[1:]), dtype=np.float32)
