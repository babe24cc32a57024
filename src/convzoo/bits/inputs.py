"""Inputs of the operations that `convzoo bits` runs: the same bits on every machine, since only integers are drawn."""

import numpy as np
import torch
from torch import Tensor


def floats(*shape: int, low: float = -1.0, high: float = 1.0, seed: int = 0) -> np.ndarray:
    """Uniform floats of `shape`, float32, from `low` to `high`."""
    drawn = np.random.Generator(np.random.PCG64(seed)).random(shape, dtype=np.float32)
    return np.asarray(drawn * np.float32(high - low) + np.float32(low))


def integers(*shape: int, below: int, seed: int = 0) -> np.ndarray:
    """Uniform integers of `shape`, int64, from 0 to `below` - 1."""
    return np.random.Generator(np.random.PCG64(seed)).integers(below, size=shape)


def pixels(count: int, side: int, channels: int, seed: int = 0) -> np.ndarray:
    """Images uint8 (N, side, side, C): a gradient with noise, so that files of them are as compressible as pictures."""
    across = np.linspace(0, 200, side).astype(np.int64)
    noise = integers(count, side, side, channels, below=56, seed=seed)
    return (across[:, None, None] // 2 + across[None, :, None] // 2 + noise).astype(np.uint8)


def tensor(*shape: int, low: float = -1.0, high: float = 1.0, seed: int = 0, last: bool = False) -> Tensor:
    """`floats` as a tensor that wants a gradient; with `last`, channels-last in memory."""
    drawn = torch.from_numpy(floats(*shape, low=low, high=high, seed=seed))
    return (drawn.contiguous(memory_format=torch.channels_last) if last else drawn).requires_grad_()
