"""The trained networks and the prepared data that the pictures are made from, as the pipeline left them."""

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
    """A prepared set, without its test images: they are for measuring."""

    name: str
    classes: list[str]
    train: Split
    val: Split
    mean: Tensor  # (C,), of the train images on a scale of 0 to 1
    std: Tensor

    def sample(self, count: int, rng: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Floats and labels of `count` train images at most, spread over the split, which may be sorted by class; or
        drawn, where there is a generator.
        """
        total = len(self.train.labels)
        rows = np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)
        rows = rng.integers(total, size=count) if rng else rows
        return self.floats(self.train.images[rows]), torch.from_numpy(self.train.labels[rows])

    def floats(self, images: Any) -> Tensor:
        """Images uint8 (B, H, W, C) as a network meets them: (B, C, H, W)."""
        return to_floats(torch.from_numpy(images.copy()), self.mean, self.std)


def load_data(name: str) -> Data:
    """The prepared set `name`. Raises ConvzooError where it is missing."""
    folder = Path("data/prepared", name)
    meta = described(folder / "train" / "meta.json", "validate")
    mean, std = torch.tensor(meta["mean"]), torch.tensor(meta["std"])
    return Data(name, meta["classes"], load_split(folder / "train"), load_split(folder / "val"), mean, std)


def described(file: Path, stage: str) -> dict[str, Any]:
    """What a JSON file of the pipeline says. Raises ConvzooError, naming the stage that writes it."""
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing; run: python -m dvc repro {stage}")
    return read_json(file)


def load_weights(body: nn.Module, file: Path, network: str) -> nn.Module:
    """`body` with the weights in `file`, for use. Raises ConvzooError where they are missing."""
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing; run: python -m dvc repro export@{network}")
    body.load_state_dict(load_file(file))
    return body.eval()
