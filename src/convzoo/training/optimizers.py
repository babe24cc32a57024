"""Optimizers by the field's names."""

from typing import Any

import torch
from torch import Tensor, nn

SMALLEST = torch.finfo(torch.float32).tiny  # of a mean square whose root is taken, so that the root of zero is zero

# Coefficients of the quintic Newton-Schulz iteration that Muon uses.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class RMSprop(torch.optim.Optimizer):
    """RMSprop with momentum and weight decay, as torch.optim.RMSprop, but with the same bits on every processor.

    That one calls torch.sqrt, whose last bits depend on the processor (docs/reproducibility.md). Hinton 2012,
    https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf.
    """

    def __init__(
        self, params: list[dict[str, Any]], lr: float, alpha: float, momentum: float, eps: float = 1e-8
    ) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "momentum": momentum, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["square_avg"], state["momentum_buffer"] = torch.zeros_like(weight), torch.zeros_like(weight)
                gradient = weight.grad.add(weight, alpha=group["weight_decay"])
                mean = state["square_avg"].mul_(group["alpha"])
                mean.addcmul_(gradient, gradient, value=1 - group["alpha"])
                root = mean * mean.clamp_min(SMALLEST).rsqrt()
                buffer = state["momentum_buffer"].mul_(group["momentum"]).addcdiv_(gradient, root.add_(group["eps"]))
                weight.add_(buffer, alpha=-group["lr"])


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal, for filters (out, in, h, w); steps have the size of the weights.

    Keller Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/, with the normalised weights of airbench.
    """

    def __init__(self, params: list[Tensor], lr: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                buffer = state["momentum_buffer"].mul_(group["momentum"]).add_(weight.grad)
                gradient = weight.grad.add(buffer, alpha=group["momentum"])  # Nesterov
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                weight.add_(orthogonal(gradient.flatten(1)).view_as(weight), alpha=-group["lr"])


def orthogonal(matrix: Tensor, iterations: int = 3, epsilon: float = 1e-7) -> Tensor:
    """About U V^T for `matrix` (m, n) = U S V^T: singular values brought near one by Newton-Schulz iterations."""
    a, b, c = NEWTON_SCHULZ
    x = matrix / (matrix.norm() + epsilon)
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def build(
    network: nn.Module,
    *,
    optimizer: str,
    learning_rate: float,
    momentum: float,
    beta2: float,
    weight_decay: float,
    muon_learning_rate: float | None = None,
    bias_rate: float = 1.0,
) -> list[torch.optim.Optimizer]:
    """The optimizers of `network`. Vectors (biases, BatchNorm) have no weight decay. A group's peak rate is `peak`.

    `momentum` is Adam's first beta. `muon_learning_rate` is for the filters, which only `muon` treats by themselves.
    The rate of biases is `bias_rate` times `learning_rate`.
    """
    filters, matrices, biases, vectors = [], [], [], []
    for name, weight in network.named_parameters():
        if not weight.requires_grad:
            continue
        if weight.ndim > 1:
            (filters if optimizer == "muon" and weight.ndim == 4 else matrices).append(weight)
        else:
            (biases if bias_rate != 1 and name.endswith("bias") else vectors).append(weight)
    rate, betas = learning_rate, (momentum, beta2)
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
        {"params": biases, "weight_decay": 0.0, "lr": rate * bias_rate},
    ]
    groups = [group for group in groups if group["params"]]
    if optimizer == "adam":  # fused: the other forms call torch.sqrt, whose last bits depend on the processor
        optimizers = [torch.optim.Adam(groups, lr=rate, betas=betas, fused=True)]
    elif optimizer == "adamw":
        optimizers = [torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True)]
    elif optimizer == "rmsprop":
        optimizers = [RMSprop(groups, lr=rate, alpha=beta2, momentum=momentum)]
    else:
        optimizers = [torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0)]
        if filters:
            optimizers.append(Muon(filters, lr=muon_learning_rate, momentum=momentum))
    for built in optimizers:
        for group in built.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def restore_layouts(optimizer: torch.optim.Optimizer) -> None:
    """Give each tensor of a loaded state the order in memory of its weight, which a copy from an accelerator lost.

    A fused step goes through weight, gradient and state in the order of the memory, whatever their strides say.
    """
    for weight, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                values[name] = torch.empty_like(weight).copy_(value)


def set_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set every group's learning rate to its peak times `factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
