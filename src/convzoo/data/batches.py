"""Batches as index tensors, and the images at these indices on the device."""

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

    def take(self, index: Tensor) -> Tensor:
        """The images at `index` (B,), as uint8 (B, H, W, C) on the device."""
        if len(self.parts) == 1:
            return self.parts[0][index.to(self.parts[0].device)].to(self.device)
        index = index.cpu()
        images = torch.empty((len(index), *self.parts[0].shape[1:]), dtype=torch.uint8)
        for part, start in zip(self.parts, self.starts, strict=False):
            in_part = (index >= start) & (index < start + len(part))
            images[in_part] = part[index[in_part] - start]
        return images.to(self.device)


def shuffled(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index tensors that go over `count` images once, in random order, in full batches only.

    A last, shorter batch is dropped (other epochs contain its images); fewer images than a batch form one batch.
    """
    order = torch.randperm(count, generator=generator)
    for start in range(0, max(count - batch_size, 0) + 1, batch_size):
        yield order[start : start + batch_size]


def in_order(count: int, batch_size: int) -> Iterator[Tensor]:
    """Index tensors that go over `count` images once, in order, the last one shorter."""
    for start in range(0, count, batch_size):
        yield torch.arange(start, min(start + batch_size, count))
