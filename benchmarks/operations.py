"""The convolutions and matrix products of a network's step, each timed alone."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.stopwatch import Stopwatch
from convzoo.training.flops import operation_flops


class Layout(NamedTuple):
    """A tensor without its values."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def tensor(self) -> Tensor:
        """A tensor of this form, of small random numbers."""
        size = 1 + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        values = torch.empty(size, dtype=self.dtype, device=self.device).normal_(std=0.1)
        return values.as_strided(self.shape, self.strides)  # also if elements share memory


class Operation(NamedTuple):
    """A call of a convolution or a matrix product, with Layouts for its tensors."""

    function: Any
    arguments: tuple[Any, ...]
    flops: int

    @property
    def name(self) -> str:
        """As in torch: convolution, convolution_backward, addmm, ..."""
        return self.function.overloadpacket.__name__

    def call(self) -> Callable[[], Any]:
        """The operation on tensors made for it."""
        arguments = [item.tensor() if isinstance(item, Layout) else item for item in self.arguments]
        arguments = [list(item) if isinstance(item, tuple) else item for item in arguments]
        return lambda: self.function(*arguments)


class Recorder(TorchDispatchMode):
    """Counts the operations with a known number of floating-point operations, while `watch` is inside the network.

    The backward pass of a convolution computes both gradients, of its input and of its weights, in one operation.
    """

    def __init__(self, watch: Stopwatch | None = None) -> None:
        super().__init__()
        self.watch = watch
        self.counts: Counter[Operation] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.watch is not None and (self.watch.first or not self.watch.inside):
            return result
        if flops := operation_flops(func, args, kwargs or {}, result):
            self.counts[Operation(func, tuple(map(_frozen, args)), flops)] += 1
        return result


def _frozen(value: Any) -> Any:
    if isinstance(value, Tensor):
        return Layout(tuple(value.shape), value.stride(), value.dtype, value.device)
    return tuple(value) if isinstance(value, list) else value


@torch.no_grad()
def seconds_alone(operations: Sequence[Operation], seconds: float, watch: Stopwatch) -> list[float]:
    """The median seconds of each operation, called alone, each for about its share of `seconds` and at least 3 times.

    One call before them is not counted.
    """
    found = []
    for operation in operations:
        call, times = operation.call(), []
        call()
        end = time.perf_counter() + seconds / len(operations)
        while len(times) < 3 or time.perf_counter() < end:
            began = watch.now()
            call()
            times.append(watch.now() - began)
        found.append(statistics.median(times))
    return found
