"""Learning-rate schedules: every step of a training, computed a second way."""

import math

import pytest
import torch

from convzoo.training.schedules import factor

STEPS = 40


def middle(step: int, warmup: float) -> float:
    """The share after the warm-up, of the middle of a step."""
    return ((step + 0.5) / STEPS - warmup) / (1 - warmup)


COURSES = {
    "constant": lambda share: 1.0,
    "linear": lambda share: 1 - share,
    "cosine": lambda share: math.cos(math.pi * share / 2) ** 2,
    "one_cycle": lambda share: 1e-5 + (1 - 1e-5) * math.cos(math.pi * share / 2) ** 2,
}


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("schedule", COURSES)
def test_a_schedule_rises_and_then_takes_its_course(schedule, warmup):
    for step in range(STEPS):
        done = (step + 0.5) / STEPS
        rising = done / warmup if warmup else 1.0
        if schedule == "one_cycle":
            rising = 1 / 25 + 24 / 25 * math.sin(math.pi * rising / 2) ** 2
        expected = rising if done < warmup else COURSES[schedule](middle(step, warmup))
        assert factor(schedule, step, STEPS, warmup) == pytest.approx(expected)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.6])
def test_steps_are_those_of_the_whole_training(warmup):
    for step in range(STEPS):
        done = (step + 0.5) / STEPS
        course = 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01
        assert factor("step", step, STEPS, warmup) == pytest.approx(done / warmup if done < warmup else course)
    # The middle of step 1 of 3 is 0.5; of step 1 of 2 it is 0.75.
    assert [factor("step", 1, steps, 0.0) for steps in (3, 2)] == pytest.approx([0.1, 0.01])


def test_the_warm_up_ends_before_its_last_moment():
    assert factor("constant", 1, 3, 0.5) == factor("linear", 1, 3, 0.5) == 1  # exactly at the end of the warm-up


def test_one_cycle_is_that_of_torch():
    # torch has a rate at each end of the training too: every second one of twice as many steps is in the middle.
    count, warmup = 2 * STEPS + 1, 0.3
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=count, pct_start=(warmup * (count - 1) + 1) / count, final_div_factor=1e5 / 25
    )
    rates = []
    for _ in range(count):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        if len(rates) < count:
            scheduler.step()
    found = [factor("one_cycle", step, STEPS, warmup) for step in range(STEPS)]
    assert found == pytest.approx(rates[1::2], rel=1e-6)
