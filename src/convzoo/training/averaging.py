"""The average of a network's weights over the steps of its training."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class MovingAverage:
    """An exponential moving average of a network's weights and statistics, in `module`.

    As torch's AveragedModel, but it counts its updates on the CPU: that one waits for the device in each step.
    With `warm_up`, the decay at update n is at most (1 + n) / (10 + n).
    """

    def __init__(self, network: nn.Module, decay: float, warm_up: bool = False) -> None:
        self.module = deepcopy(network)
        self.decay, self.warm_up = decay, warm_up
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Add the current weights of `network`; the first ones are taken as they are."""
        pairs = list(zip(_tensors(self.module), _tensors(network), strict=True))
        if self.updates == 0:
            for mean, value in pairs:
                mean.copy_(value)
        else:
            self._blend(pairs)
        self.updates += 1

    def _blend(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warm_up else self.decay
        floats = [(mean, value) for mean, value in pairs if mean.is_floating_point()]
        means, values = ([pair[side] for pair in floats] for side in (0, 1))
        torch._foreach_lerp_(means, values, 1 - decay)  # means += (1 - decay) * (values - means)
        for mean, value in pairs:
            if not mean.is_floating_point():  # BatchNorm's count of batches, which nothing reads
                mean.copy_(value if self.warm_up else mean * decay + value * (1 - decay))

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "module": self.module.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.module.load_state_dict(state["module"])


def moving_average(network: nn.Module, decay: float) -> MovingAverage | None:
    """The moving average of `network`; None for a decay of 0."""
    return MovingAverage(network, decay) if decay else None


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
