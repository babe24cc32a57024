"""Batches as rows of an index, and the images at these indices on the device."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from convzoo.data.arrays import Split
from convzoo.data.shards import ShardedImages

# A data set of at most this size is copied to the memory of an accelerator; a larger one is copied batch by batch.
RESIDENT_BYTES = 4 * 2**30


class Streamed:
    """Images in shards, indexed as a tensor on the CPU is."""

    device = torch.device("cpu")

    def __init__(self, images: ShardedImages) -> None:
        self.images, self.shape = images, images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        return torch.from_numpy(self.images[rows.numpy() if isinstance(rows, Tensor) else rows])

    def numel(self) -> int:
        return math.prod(self.shape)


class ImageSet:
    """Concatenated splits, indexed as one set, for a device; on a CPU they stay memory-mapped or in shards."""

    def __init__(self, splits: Sequence[Split], device: torch.device) -> None:
        self.device = device
        self.labels = torch.from_numpy(np.concatenate([split.labels for split in splits])).to(device)
        stored = [split.images for split in splits if len(split.images)]
        self.blocks = _blocks(stored)
        self.parts = [Streamed(part) if isinstance(part, ShardedImages) else torch.from_numpy(part) for part in stored]
        if device.type != "cpu" and sum(part.numel() for part in self.parts) <= RESIDENT_BYTES:
            self.parts = [torch.cat([part[0 : len(part)] for part in self.parts]).to(device)]
        self.starts = np.cumsum([0] + [len(part) for part in self.parts]).tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def shuffled(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """The indices of all images in random order, as full batches (S, B); images in shards by `shuffled_blocks`.

        A last, shorter batch is dropped (other epochs contain its images); fewer images than a batch form one batch.
        """
        if self.blocks:
            return in_batches(shuffled_blocks(*self.blocks, generator), batch_size)
        return shuffled(len(self), batch_size, generator)

    def batches(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """For each row of `order` (S, B): images uint8 (B, H, W, C) and labels (B,), on the device."""
        # Copied to the device once per epoch; a step then waits for nothing, if the images are there too.
        for index, row in zip(order, order.to(self.device), strict=True):
            is_resident = self.parts[0].device.type == self.device.type
            yield self.take(row if is_resident else index), self.labels[row]

    def take(self, rows: Tensor | slice) -> Tensor:
        """The images at `rows`, indices (B,) or a slice with both ends, as uint8 (B, H, W, C) on the device."""
        if len(self.parts) == 1:
            [part] = self.parts
            images = part[rows.to(part.device) if isinstance(rows, Tensor) else rows]
        else:
            images = self._gathered(rows if isinstance(rows, Tensor) else torch.arange(rows.start, rows.stop))
        if images.device.type == self.device.type:
            return images
        # From pinned memory a copy overlaps with the computation; torch reuses that memory only after the copy.
        images = images.pin_memory() if self.device.type == "cuda" else images
        return images.to(self.device, non_blocking=True)

    def _gathered(self, index: Tensor) -> Tensor:
        index = index.cpu()
        images = torch.empty((len(index), *self.parts[0].shape[1:]), dtype=torch.uint8)
        for part, start in zip(self.parts, self.starts, strict=False):
            in_part = (index >= start) & (index < start + len(part))
            images[in_part] = part[index[in_part] - start]
        return images


def shuffled(count: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """The indices of `count` images in random order, as full batches (S, `batch_size`).

    A last, shorter batch is dropped (other epochs contain its images); fewer images than a batch form one batch.
    """
    return in_batches(torch.randperm(count, generator=generator), batch_size)


def shuffled_blocks(sizes: Tensor, window: int, generator: torch.Generator) -> Tensor:
    """The indices of images in a random order that reads their blocks one `window` of blocks after the other.

    `sizes` (K,) are the images in each block, in their order. The blocks of a window are drawn at random from all of
    them, and the images of a window are shuffled together, so images that lie together are spread over many batches,
    and each block is read once (CorgiPile, Xu et al. 2022, https://arxiv.org/abs/2206.05830).
    """
    ends = sizes.cumsum(0)
    order = []
    for blocks in torch.randperm(len(sizes), generator=generator).tensor_split(math.ceil(len(sizes) / window)):
        rows = torch.cat([torch.arange(end - size, end) for size, end in zip(sizes[blocks], ends[blocks], strict=True)])
        order.append(rows[torch.randperm(len(rows), generator=generator)])
    return torch.cat(order)


def in_batches(order: Tensor, batch_size: int) -> Tensor:
    """Indices (N,) as full batches (S, `batch_size`), without the last, shorter one; fewer than a batch form one."""
    batch_size = min(batch_size, len(order))
    return order[: len(order) // batch_size * batch_size].view(-1, batch_size)


def _blocks(stored: Sequence[np.ndarray | ShardedImages]) -> tuple[Tensor, int] | None:
    """The sizes of the blocks of all images, and how many of them form a window; None if no images are in shards.

    Arrays beside shards count as blocks of the same size.
    """
    sharded = [part for part in stored if isinstance(part, ShardedImages)]
    if not sharded:
        return None
    block, window = sharded[0].block, sharded[0].window
    sizes = [min(block, len(part) - start) for part in stored for start in range(0, len(part), block)]
    return torch.tensor(sizes), window


def in_order(count: int, batch_size: int) -> Iterator[slice]:
    """Slices that go over `count` images once, in order, the last one shorter."""
    for start in range(0, count, batch_size):
        yield slice(start, min(start + batch_size, count))
