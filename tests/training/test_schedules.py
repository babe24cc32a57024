"""Learning rates and steps: schedules at points that are known, and Muon's orthogonal steps."""

import math

import pytest
import torch

from convzoo.training import optimizers
from convzoo.training.schedules import factor


def test_muon_steps_have_singular_values_near_one():
    matrix = torch.randn(16, 40, generator=torch.Generator().manual_seed(0))
    for shaped in (matrix, matrix.T):
        values = torch.linalg.svdvals(optimizers.orthogonal(shaped, iterations=6))
        assert 0.6 < values.min() <= values.max() < 1.3


def test_schedules_take_their_known_values():
    def at(schedule: str, share: float, warmup: float = 0.0) -> float:
        return factor(schedule, round(share * 1000), 1000, warmup)

    near = {"abs": 5e-3}
    assert at("constant", 0.9) == 1
    assert at("linear", 0.25) == pytest.approx(0.75, **near)
    assert at("cosine", 0.5) == pytest.approx(0.5, **near)
    assert at("cosine", 0.25) == pytest.approx((1 + math.cos(math.pi / 4)) / 2, **near)
    assert [at("step", share) for share in (0.1, 0.6, 0.8)] == pytest.approx([1, 0.1, 0.01])
    assert at("one_cycle", 0, 0.2) == pytest.approx(1 / 25, **near)
    assert at("one_cycle", 0.2, 0.2) == pytest.approx(1, **near)
    assert at("one_cycle", 0.999, 0.2) == pytest.approx(0, **near)
    assert at("linear", 0.1, 0.2) == pytest.approx(0.5, **near)
