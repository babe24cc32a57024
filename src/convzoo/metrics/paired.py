"""Two ways to answer the same questions, compared question by question: functions of arrays."""

import math
from typing import NamedTuple

import numpy as np


class Pairs(NamedTuple):
    """How many images both ways, one alone, or neither answered right, and how likely chance makes it so uneven."""

    both: int
    first_only: int
    second_only: int
    neither: int
    p_value: float  # the exact test of McNemar 1947, two-sided: 1 where both are right alone equally often


def pairs(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> Pairs:
    """Answers (N,) of two ways against labels (N,)."""
    right, also = first == labels, second == labels
    alone = int((right & ~also).sum()), int((~right & also).sum())
    uneven, few = sum(alone), min(alone)
    tail = sum(math.comb(uneven, count) for count in range(few + 1)) / 2**uneven
    return Pairs(int((right & also).sum()), *alone, int((~right & ~also).sum()), min(1.0, 2 * tail))


def same_views(probabilities: list[np.ndarray]) -> np.ndarray:
    """The answers (N, K) of a network whose logits are averaged over views, from its answers to each view."""
    smallest = np.finfo(np.float32).tiny
    logits = np.mean([np.log(np.maximum(each, smallest, dtype=np.float64)) for each in probabilities], axis=0)
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)
