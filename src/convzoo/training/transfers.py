"""Copies of many tensors between devices as one: each copy makes the host wait, however little it carries."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor

ALIGNMENT = 16  # bytes; more than any dtype needs


def moved(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The tensors, all from one device, on another `device`: as parts of one piece of memory."""
    if not tensors:
        return []
    parts = [tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in tensors]
    lengths = [len(part) for part in parts]
    padded = [F.pad(part, (0, -len(part) % ALIGNMENT)) for part in parts]
    pieces = torch.cat(padded).to(device).split([len(part) for part in padded])
    return [
        piece[:length].view(tensor.dtype).view(tensor.shape)
        for piece, length, tensor in zip(pieces, lengths, tensors, strict=True)
    ]


def to_host(tree: Any) -> Any:
    """`tree`, nested dicts and lists, with the tensors of an accelerator copied to the CPU, all in one copy."""
    remote = [tensor for tensor in _tensors(tree) if tensor.device.type != "cpu"]
    copies = iter(moved(remote, torch.device("cpu")))
    return _replaced(tree, lambda tensor: tensor if tensor.device.type == "cpu" else next(copies).clone())


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict | list | tuple):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(item)


def _replaced(tree: Any, replace: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(tree, Tensor):
        return replace(tree)
    if isinstance(tree, dict):
        return {key: _replaced(item, replace) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return [_replaced(item, replace) for item in tree]
    return tree
