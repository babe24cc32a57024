"""Batches as rows of an index, and the images at these indices on the device."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from convzoo.data.arrays import Split

# A data set of at most this size is copied to the memory of an accelerator; a larger one is copied batch by batch.
RESIDENT_BYTES = 4 * 2**30


class ImageSet:
    """Concatenated splits, indexed as one set, for a device; on a CPU they stay memory-mapped."""

    def __init__(self, splits: Sequence[Split], device: torch.device) -> None:
        self.device = device
        self.labels = torch.from_numpy(np.concatenate([split.labels for split in splits])).to(device)
        self.parts = [torch.from_numpy(split.images) for split in splits if len(split.images)]
        if device.type != "cpu" and sum(part.numel() for part in self.parts) <= RESIDENT_BYTES:
            self.parts = [torch.cat(self.parts).to(device)]
        self.starts = np.cumsum([0] + [len(part) for part in self.parts]).tolist()

    def __len__(self) -> int:
        return len(self.labels)

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
    batch_size = min(batch_size, count)
    order = torch.randperm(count, generator=generator)
    return order[: count // batch_size * batch_size].view(-1, batch_size)


def in_order(count: int, batch_size: int) -> Iterator[slice]:
    """Slices that go over `count` images once, in order, the last one shorter."""
    for start in range(0, count, batch_size):
        yield slice(start, min(start + batch_size, count))
