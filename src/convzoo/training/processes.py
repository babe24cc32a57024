"""What the processes of one training share: the rows of a batch, its statistics and random numbers, and their end.

A training with several processes takes the steps of one with a single process and the same batch size, up to the order
in which numbers are added. Each process computes some rows of every batch. All of them draw the random numbers of the
whole batch, and layers whose result depends on more than one image use the whole batch, too.
"""

import ctypes
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, zip_longest
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 (the field's name)
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convzoo.errors import ConvzooError, first_line
from convzoo.training.transfers import to_host

PR_SET_PDEATHSIG = 1  # prctl(2)
# In the messages of errors that a process gets if another one ended. gloo's have no class of their own.
LOST = ("gloo", "Connection closed by peer", "NCCL")
PLACE = re.compile(r"^\[[^]]*\] ")  # in the source of PyTorch, at the start of such a message


def local_rows(fabric: Fabric, batch_size: int) -> slice:
    """This process's rows of each batch. Raises ConvzooError unless every process gets as many as the others."""
    if batch_size % fabric.world_size:
        raise ConvzooError(
            f"batch_size: got {batch_size} (or so many train images), expected a multiple of {fabric.world_size}, the "
            "number of processes (compute.devices times compute.nodes); change one of them"
        )
    return slice(fabric.global_rank, None, fabric.world_size)


def share_of(fabric: Fabric, batches: Iterable[slice]) -> Iterator[slice]:
    """Every n-th of `batches`, of which each of n processes gets others."""
    return islice(batches, fabric.global_rank, None, fabric.world_size)


def sums_over(fabric: Fabric, sums: Sequence[Tensor]) -> list[float]:
    """The sums (K) of `sums`, a tensor (K,) for each batch of `share_of`, over the batches of all processes.

    They are added in the order of the batches, so that the result does not depend on the number of processes.
    """
    rows = in_turn(fabric, torch.stack(list(sums)).tolist() if sums else [])
    return [sum(column) for column in zip(*rows, strict=True)]


def in_turn(fabric: Fabric, results: list) -> list:
    """The `results` of all processes from the batches that `share_of` gave them, in the order of the batches."""
    if fabric.world_size == 1:
        return results
    parts: list[Any] = [None] * fabric.world_size
    dist.all_gather_object(parts, to_host(results))
    return [result for turn in zip_longest(*parts) for result in turn if result is not None]


def average(x: Tensor) -> Tensor:
    """The mean of `x` over all processes, which gradients flow through; `x` itself in a single process."""
    if not is_several():
        return x
    return _Sum.apply(x) / dist.get_world_size()


def is_several() -> bool:
    """Whether this process is one of several that train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def over_processes(fabric: Fabric, network: nn.Module) -> nn.Module:
    """Make the layers of `network` that see a whole batch see that of all processes; return the network.

    Only layers in training mode wait for the other processes.
    """
    if fabric.world_size == 1:
        return network
    layers = {nn.Dropout: SharedDropout}
    if fabric.device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    else:
        layers |= {nn.BatchNorm1d: SharedBatchNorm, nn.BatchNorm2d: SharedBatchNorm}
    for layer in network.modules():
        if type(layer) in layers:
            layer.__class__ = layers[type(layer)]  # so that whoever holds the layer holds the new one
    return network


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm over the batch of all processes, on every device; nn.SyncBatchNorm needs CUDA.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        y, mean, variance = _Normalised.apply(x, self.weight, self.bias, self.eps)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return y

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions."""


class SharedDropout(nn.Dropout):
    """Dropout that draws what it would draw for the batch of all processes, and applies this process's rows."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        rank, count = dist.get_rank(), dist.get_world_size()
        whole = torch.ones(len(x) * count, *x.shape[1:], dtype=x.dtype, device=x.device)
        return x * F.dropout(whole, self.p)[rank::count]


class _Normalised(torch.autograd.Function):
    """BatchNorm of `x` (B, C, ...) by the statistics of all processes, and these: mean (C,) and variance (C,).

    Composed of differentiable operations, it would take up to three times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        dims, shape = _layout(x)
        own = x.float().mean(dims)
        spread = (x - own.view(shape)).square_().mean(dims)
        rows = x.new_zeros(dist.get_world_size(), 2, len(own), dtype=own.dtype)
        rows[dist.get_rank()] = torch.stack([own, spread])
        dist.all_reduce(rows)
        means, spreads = rows.unbind(1)  # of each process
        mean = means.mean(0)
        variance = spreads.mean(0) + (means - mean).square().mean(0)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt())
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        dims, shape = _layout(x)
        normalised = (x - mean.view(shape)).mul_(scale.view(shape))
        own = torch.stack([gradient.float().sum(dims), (gradient * normalised).sum(dims)])
        total = own.clone()
        dist.all_reduce(total)
        shift, slope = (total / (x.numel() // x.shape[1] * dist.get_world_size())).unbind(0)
        back = gradient - normalised.mul_(slope.view(shape))
        back = back.sub_(shift.view(shape)).mul_((weight * scale).view(shape))
        return back.to(x.dtype), own[1], own[0], None


def _layout(x: Tensor) -> tuple[list[int], tuple[int, ...]]:
    """The dimensions of `x` (B, C, ...) without the channels, and the shape in which channels meet it."""
    return [0, *range(2, x.ndim)], (-1, *[1] * (x.ndim - 2))


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes, and of its gradient; torch's own such function is deprecated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)  # which has a gradient, too


@contextmanager
def ended_together(fabric: Fabric, network: str) -> Iterator[None]:
    """Raise ConvzooError if this process lost another one of the training `network`, which has ended."""
    try:
        yield
    except RuntimeError as error:
        if fabric.world_size == 1 or not is_lost(error):
            raise
        cause = PLACE.sub("", first_line(error)).partition(". ")[0]
        raise ConvzooError(
            f"{network}: process {fabric.global_rank} of {fabric.world_size} lost another one ({cause}), expected all "
            "of them until the end; see why that one ended, then run the same command again, which continues after the "
            "last finished epoch"
        ) from error


def is_lost(error: BaseException) -> bool:
    """Whether an error means that another process ended."""
    return isinstance(error, dist.DistError) or any(text in str(error) for text in LOST)


def end_with_parent() -> None:
    """Have this process killed when the one that started it ends, on Linux; elsewhere it ends at its next step."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
