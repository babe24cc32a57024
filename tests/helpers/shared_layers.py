"""What a layer does with a batch: in one process with all of it, in several with a share each."""

from copy import deepcopy
from types import SimpleNamespace

import torch
import torch.distributed as dist
from torch import Tensor, nn

from convzoo.training import augmentation
from convzoo.training.processes import average, in_turn, over_processes, share_of, sums_over


def place() -> SimpleNamespace:
    """What the functions of convzoo.training.processes read of a Fabric."""
    rank, count = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    return SimpleNamespace(global_rank=rank, world_size=count, device=torch.device("cpu"))


def passes(layer: nn.Module, batches: list[Tensor], weights: Tensor) -> dict[str, Tensor]:
    """Outputs and gradients of `layer` on this process's rows of the batches, and its state after them.

    The loss is the mean of the squares of the output times `weights`, which has the shape of a batch. Gradients of
    parameters are averaged over the processes, as DDP does, and those of inputs divided by their number.
    """
    fabric = place()
    network, found = over_processes(fabric, nn.Sequential(deepcopy(layer)).train()), {}
    local = slice(fabric.global_rank, None, fabric.world_size)
    for number, batch in enumerate(batches):
        torch.manual_seed(number)
        x = batch[local].clone().requires_grad_()
        y = network(x)
        (y * weights[local]).square().mean().backward()
        found |= {f"output {number}": y.detach(), f"input gradient {number}": x.grad / fabric.world_size}
    for name, weight in network.named_parameters():
        found[f"gradient of {name}"] = average(weight.grad)
    return found | {name: value.clone() for name, value in network.state_dict().items()}


def painted(images: Tensor, corners: Tensor, side: int) -> dict[str, Tensor]:
    """Images of this process after cutout, and the gradient of the sum of their squares by the images."""
    fabric = place()
    rows = slice(fabric.global_rank, None, fabric.world_size)
    x = images[rows].clone().requires_grad_()
    found = augmentation.cutout(x, corners[:, rows], side, average)
    found.square().sum().backward()
    return {"images": found.detach(), "gradient": x.grad}


def counted(batches: int) -> dict[str, Tensor]:
    """The batches of all processes in turn, and two sums over them."""
    fabric = place()
    shares = list(share_of(fabric, [slice(number, number + 1) for number in range(batches)]))
    sums = [torch.tensor([float(rows.start), 0.5]) for rows in shares]
    starts = in_turn(fabric, [rows.start for rows in shares])
    return {"starts": torch.tensor(starts), "sums": torch.tensor(sums_over(fabric, sums))}
