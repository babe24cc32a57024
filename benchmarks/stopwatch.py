"""A stopwatch that runs inside a training loop of convzoo, in the place of its progress bar."""

import time
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from convzoo.training.state import TrainState


class Finished(Exception):  # noqa: N818 (nothing went wrong)
    """Ends a training loop in the middle, once it ran long enough."""


class Stopwatch:
    """Takes the seconds of each step, and those of it that are spent in the network's forward and backward passes.

    The first step, which allocates memory, is left out. `limit` is the number of steps after it at which `step` raises
    Finished, or None; `is_over` is asked in each step, too.
    """

    def __init__(
        self,
        device: torch.device,
        limit: int | None = None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self.device, self.limit, self.is_over = device, limit, is_over
        self.steps: list[float] = []
        self.in_network: list[float] = []
        self.first = True
        self.inside = False
        self.spent = self.entered = 0.0
        self.began = self.now()

    def now(self) -> float:
        """The time in seconds, once the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def enter(self, *_: Any) -> None:
        """The network starts to compute."""
        self.entered, self.inside = self.now(), True

    def leave(self, *_: Any) -> None:
        """The network stops."""
        self.spent, self.inside = self.spent + self.now() - self.entered, False

    def watch(self, module: nn.Module) -> None:
        """Enter and leave with the forward passes of `module`."""
        module.register_forward_pre_hook(self.enter)
        module.register_forward_hook(self.leave)

    def step(self, *_: Any) -> None:
        """A step ends. Raises Finished."""
        now = self.now()
        if not self.first:
            self.steps.append(now - self.began)
            self.in_network.append(self.spent)
        self.first, self.spent = False, 0.0
        if len(self.steps) == self.limit or (self.steps and self.is_over()):
            raise Finished
        self.began = self.now()

    update = step  # as tqdm calls it

    def close(self) -> None:
        """As a progress bar has it."""


class WatchedFabric:
    """A Fabric whose networks and backward passes a stopwatch times."""

    def __init__(self, fabric: Fabric, watch: Stopwatch) -> None:
        self._fabric, self._watch = fabric, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fabric, name)

    def setup(self, module: nn.Module, *optimizers: torch.optim.Optimizer) -> Any:
        """As Fabric.setup."""
        self._watch.watch(module)
        return self._fabric.setup(module, *optimizers)

    def backward(self, loss: torch.Tensor) -> None:
        """As Fabric.backward."""
        self._watch.enter()
        self._fabric.backward(loss)
        self._watch.leave()


class OneEpoch(TrainState):
    """The state of a training that ends after the steps of its first epoch, before the validation."""

    def check_finite(self, losses: Any) -> None:
        """Raise Finished."""
        raise Finished
