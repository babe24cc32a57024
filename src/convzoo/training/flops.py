"""The arithmetic of a training: its cost, whatever the machine."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

PETA = 1e15


class _Counter(TorchDispatchMode):
    """Adds up the floating-point operations of convolutions and matrix products, by torch's formulas.

    torch's FlopCounterMode also follows modules, which rules out gradients of gradients.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def flops(function: Callable[[], Tensor]) -> int:
    """The floating-point operations of `function()` and, if the result needs a gradient, its backward pass."""
    with _Counter() as counter:
        result = function()
        if result.requires_grad:
            result.sum().backward()
    return counter.total


def image_flops(network: nn.Module, shape: tuple[int, ...]) -> int:
    """The floating-point operations of `network` for one input of `shape`, forward and backward.

    The backward pass is for the parameters that need a gradient. The network itself does not change.
    """
    network = deepcopy(network).eval()
    device = next((weight.device for weight in network.parameters()), None)
    return flops(lambda: network(torch.zeros(1, *shape, device=device)))
