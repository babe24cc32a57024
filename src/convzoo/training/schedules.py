"""Learning-rate schedules as functions of the share of training that is done."""

import math

# One cycle: the first and the last rate, as shares of the peak (the defaults of fast.ai and of torch's OneCycleLR).
CYCLE_START, CYCLE_END = 1 / 25, 1e-5

# Step: divided by ten at these shares of the training (He et al. 2016).
STEPS = (0.5, 0.75)


def factor(schedule: str, step: int, steps: int, warmup: float) -> float:
    """What the learning rate is multiplied with at `step` of `steps` (from 0), after a linear `warmup` share.

    `one_cycle` rises and falls along half cosines (Smith 2018); the others start their course after the warm-up.
    """
    done = (step + 0.5) / steps
    if done < warmup:
        rising = done / warmup
        return _between(CYCLE_START, 1, rising) if schedule == "one_cycle" else rising
    left = (done - warmup) / (1 - warmup)
    if schedule == "one_cycle":
        return _between(1, CYCLE_END, left)
    if schedule == "cosine":
        return _between(1, 0, left)
    if schedule == "linear":
        return 1 - left
    if schedule == "step":
        return 0.1 ** sum(done >= share for share in STEPS)
    return 1.0  # constant


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
