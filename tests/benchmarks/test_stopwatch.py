"""The stopwatch that runs inside the loops."""

import pytest
import torch
from torch import nn

from benchmarks.stopwatch import Finished, Stopwatch


class Clock(Stopwatch):
    """Reads the time from a list."""

    def __init__(self, times: list[float], **options) -> None:
        self.times = iter(times)
        super().__init__(torch.device("cpu"), **options)

    def now(self) -> float:
        return next(self.times)


def test_a_step_and_its_part_in_the_network_are_timed_without_the_first():
    #             start enter leave step start enter leave enter leave step start
    watch = Clock([0.0, 1.0, 5.0, 9.0, 10.0, 11.0, 13.0, 14.0, 15.0, 20.0, 20.5])
    watch.enter()
    watch.leave()
    watch.step()
    for _ in range(2):
        watch.enter()
        watch.leave()
    watch.step()
    assert watch.steps == [10.0]
    assert watch.in_network == [3.0]


def test_it_ends_the_loop_at_its_limit_or_when_the_time_is_over():
    watch = Stopwatch(torch.device("cpu"), limit=2)
    watch.step()
    watch.step()
    with pytest.raises(Finished):
        watch.step()
    assert len(watch.steps) == 2

    watch = Stopwatch(torch.device("cpu"), is_over=lambda: True)
    watch.step()  # never counted
    with pytest.raises(Finished):
        watch.step()


def test_it_watches_a_module():
    watch, module = Stopwatch(torch.device("cpu")), nn.Linear(2, 2)
    watch.watch(module)
    assert watch.spent == 0
    module(torch.rand(1, 2))
    assert watch.spent > 0 and not watch.inside
