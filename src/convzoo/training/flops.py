"""The arithmetic of a training: its cost, whatever the machine."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import conv_flop_count, flop_registry

PETA = 1e15


def operation_flops(func: Any, args: tuple, kwargs: dict[str, Any], result: Any) -> int | None:
    """The floating-point operations of a call of a convolution or a matrix product; None for other operations.

    By torch's formulas, but for gradients of convolutions: torch's formula ignores groups, and counts the gradients of
    depthwise convolutions many times. Each gradient costs as much as the forward pass.
    """
    formula = flop_registry.get(func.overloadpacket)
    if formula is None:
        return None
    if func.overloadpacket is not torch.ops.aten.convolution_backward:
        return formula(*args, **kwargs, out_val=result)
    gradient, inputs, weight, transposed, wanted = args[0], args[1], args[2], args[7], args[10]
    return sum(wanted[:2]) * conv_flop_count(inputs.shape, weight.shape, gradient.shape, transposed)


class _Counter(TorchDispatchMode):
    """Adds up the floating-point operations of convolutions and matrix products.

    torch's FlopCounterMode also follows modules, which rules out gradients of gradients.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.total += operation_flops(func, args, kwargs or {}, result) or 0
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
