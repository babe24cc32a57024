"""Compares the answers of a second version, which nobody sees, with those that were given."""

import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from convzoo.errors import first_line
from convzoo.serving.served import Served

log = logging.getLogger("convzoo.serve")
WAITING = 4  # comparisons that may wait; a server that is busy drops the others
UNITS = {"predict": "probability", "reconstruct": "grey level", "sample": "grey level"}


@dataclass
class Comparison:
    """How far the answers of two versions are apart, since both have been loaded."""

    serving: dict[str, Any]  # which version answered
    shadow: dict[str, Any]  # which one was compared
    unit: str  # of the differences
    requests: int = 0
    images: int = 0
    differing: int = 0  # images with another class; of images that are made: with any other pixel
    dropped: int = 0  # requests that were chosen, but not compared, because too many waited
    failed: int = 0  # requests that the second version could not answer
    largest: float = 0.0  # difference
    total: float = 0.0  # of the mean differences of the images
    seconds: float = 0.0  # that the second version took

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        return {
            "serving": self.serving,
            "shadow": self.shadow,
            "requests": self.requests,
            "images": self.images,
            "differing": self.differing,
            "share_differing": self.differing / self.images if self.images else None,
            "unit": self.unit,
            "mean_difference": self.total / self.images if self.images else None,
            "largest_difference": self.largest if self.images else None,
            "milliseconds_per_image": 1000 * self.seconds / self.images if self.images else None,
            "dropped": self.dropped,
            "failed": self.failed,
        }


class Shadow:
    """Gives a share of the requests to a second version, in a thread of its own."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.comparisons: dict[str, Comparison] = {}
        self._random = random.Random(0)
        self._lock = threading.Lock()  # of all that follows and of the comparisons
        self._waiting = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="convzoo-shadow")

    def comparison(self, served: Served, shadow: Served) -> Comparison:
        """The comparison of two versions; a new one if another version took the place of one of them."""
        sides = served.identity(), shadow.identity()
        with self._lock:
            current = self.comparisons.get(served.network)
            if current is None or (current.serving, current.shadow) != sides:
                current = self.comparisons[served.network] = Comparison(*sides, UNITS[served.task])
        return current

    def offer(self, served: Served, shadow: Served | None, inputs: np.ndarray, outputs: np.ndarray) -> None:
        """Compare one answered request, if it is among the share and not too many wait."""
        if shadow is None or self._random.random() >= self.share:
            return
        comparison = self.comparison(served, shadow)
        with self._lock:
            if self._waiting >= WAITING:
                comparison.dropped += 1
                return
            self._waiting += 1
        self._pool.submit(self._compare, comparison, shadow, inputs, outputs)

    def close(self) -> None:
        """Drop what waits."""
        self._pool.shutdown(cancel_futures=True)

    def _compare(self, comparison: Comparison, shadow: Served, inputs: np.ndarray, outputs: np.ndarray) -> None:
        started = time.perf_counter()
        try:
            others = _answers(shadow, inputs, outputs.shape)
        except Exception as error:  # whatever it is, the client got the answer of the version that serves
            with self._lock:
                self._waiting -= 1
                comparison.failed += 1
                is_first = comparison.failed == 1
            if is_first:
                name = f"{shadow.network}: {shadow.release.title} in the shadow"
                log.warning("%s: cannot answer: %s; convzoo shadow counts how often", name, first_line(error))
            return
        seconds = time.perf_counter() - started
        apart = np.abs(others.astype(np.float64) - outputs).reshape(len(outputs), -1)
        if comparison.unit == "probability":
            differing = others.argmax(axis=1) != outputs.argmax(axis=1)
        else:
            differing = apart.max(axis=1) > 0
        with self._lock:
            self._waiting -= 1
            comparison.requests += 1
            comparison.images += len(outputs)
            comparison.differing += int(differing.sum())
            comparison.largest = max(comparison.largest, float(apart.max()))
            comparison.total += float(apart.mean(axis=1).sum())
            comparison.seconds += seconds


def _answers(shadow: Served, inputs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The answers of a version, of the `shape` that was given out. Raises ValueError if it takes or returns others."""
    if shadow.model.input[1:] != (str(inputs.dtype), (None, *inputs.shape[1:])):
        raise ValueError(f"it takes {shadow.model.input}, but the version that serves got {inputs.shape}")
    others = shadow.model.run(inputs)
    if others.shape != shape:
        raise ValueError(f"it returns {shadow.model.output}, but the version that serves returned {shape}")
    return others
