"""Loads the trained networks and prepared data that the figures are drawn from."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from convzoo.data.arrays import Split, load_split
from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.files import read_json


class Data(NamedTuple):
    """A prepared data set without its test images, which are reserved for evaluation."""

    name: str
    classes: list[str]
    train: Split
    val: Split
    mean: Tensor  # (C,), of the train images on a scale of 0 to 1
    std: Tensor

    def sample(self, count: int, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return floats and labels of at most `count` train images, evenly spaced over the split.

        With `rng`, the images are drawn at random.
        """
        total = len(self.train.labels)
        rows = np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)
        rows = rng.integers(total, size=count) if rng else rows
        return self.floats(self.train.images[rows]), torch.from_numpy(self.train.labels[rows])

    def floats(self, images: Any) -> Tensor:
        """Convert images uint8 (B, H, W, C) to inputs of a network, (B, C, H, W)."""
        return to_floats(torch.from_numpy(images.copy()), self.mean, self.std)


def load_data(name: str) -> Data:
    """Load the prepared set `name`. Raises ConvzooError if it is missing."""
    folder = Path("data/prepared", name)
    meta = read_output(folder / "train" / "meta.json", "validate")
    mean, std = torch.tensor(meta["mean"]), torch.tensor(meta["std"])
    return Data(name, meta["classes"], load_split(folder / "train"), load_split(folder / "val"), mean, std)


def read_output(file: Path, stage: str) -> dict[str, Any]:
    """Read a JSON file of the pipeline. Raises ConvzooError with the stage that writes it if it is missing."""
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing; run: convzoo repro {stage}")
    return read_json(file)


def load_weights(model: nn.Module, file: Path, network: str) -> nn.Module:
    """Load the weights in `file` into `model`, set to evaluation mode. Raises ConvzooError if they are missing."""
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing; run: convzoo repro export@{network}")
    model.load_state_dict(load_file(file))
    return model.eval()
