"""Trains the feature network for digits, src/convzoo/weights/digits.onnx, on all of MNIST's train images.

    convzoo profile compact     (or cpu, or full: all have the 60,000 images)
    convzoo repro validate
    python -m convzoo.weights.digits

It was run once, and the file is in git: distances between features are comparable only with the same network.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from convzoo.data.arrays import load_split
from convzoo.data.batches import ImageSet
from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError, main
from convzoo.families.classifier.network import build
from convzoo.families.classifier.train import describe, fit
from convzoo.files import read_json
from convzoo.settings.compute import ComputeSettings
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.shipping.model import Model, run_in_batches
from convzoo.shipping.onnx import write_onnx
from convzoo.training import machine
from convzoo.training.state import TrainState

NETWORK = "mnist-classifier"
FILE = Path(__file__).with_name("digits.onnx")
TRAIN_IMAGES = 60_000
COMPUTE = ComputeSettings(
    portable=False,
    device="cpu",
    devices=1,
    nodes=1,
    strategy="auto",
    precision="fp32",
    threads=2,
    deterministic=True,
)
# Differences from the committed block of mnist-classifier: small enough for git, and trained for longer.
CHANGES = {"epochs": 10, "batch_size": 250, "learning_rate": 0.2, "ema_decay": 0.995, "shift": 2, "rotation": 10.0}
WIDTHS = [24, 48, 96]


class DigitFeatures(nn.Module):
    """Features (B, 96) for digits uint8 (B, 28, 28, 1): the scaled input of a classifier's last linear layer."""

    def __init__(self, body: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.body = body
        self.scale = 1.0
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        x = self.body.stem_act(self.body.stem(to_floats(images, self.mean, self.std)))
        return self.body.blocks(x).amax(dim=(2, 3)) / self.scale


def train_digit_features() -> None:
    """Train, write digits.onnx, and print its sha256 and test accuracy.

    Raises ConvzooError if the prepared images are not MNIST's 60,000.
    """
    prepared = Path("data/prepared/mnist")
    splits = [load_split(prepared / name) for name in ("train", "val")]
    if sum(len(split.images) for split in splits) != TRAIN_IMAGES:
        raise ConvzooError(f"{prepared}: expected {TRAIN_IMAGES} train and val images; run: convzoo profile compact")
    settings = network_settings(read_params(), "networks", NETWORK)
    fast = settings.fast.model_copy(update={"widths": WIDTHS})
    settings = settings.model_copy(update=CHANGES | {"fast": fast, "activation": "relu"})
    architecture = describe(settings, read_json(prepared / "train" / "meta.json"))

    fabric = machine.start(COMPUTE, settings.seed)
    images, val = (ImageSet(parts, fabric.device) for parts in (splits, splits[1:]))
    state = TrainState(NETWORK)
    fit(settings, architecture, fabric, images, val, state)
    network = build(architecture["architecture"], architecture["arguments"])
    network.load_state_dict(state.best)
    module = DigitFeatures(network, architecture["mean"], architecture["std"])
    # A mean square of one on val, which keeps KID, whose kernel is a third power, in a readable range.
    with torch.no_grad():
        val_features = torch.cat(
            [module.eval()(torch.from_numpy(part)) for part in np.array_split(splits[1].images, 20)]
        )
    module.scale = float(f"{val_features.square().mean().sqrt().item():.4g}")
    description = {"dataset": "mnist", "images": TRAIN_IMAGES, "widths": WIDTHS, "changes": CHANGES}
    write_onnx(module, torch.from_numpy(splits[1].images[:2]), "images", "features", FILE, description)

    test = load_split(prepared / "test")
    features = run_in_batches(Model(FILE), test.images, 500) * module.scale
    predictions = (features @ network.head.weight.detach().numpy().T).argmax(axis=1)
    accuracy = float(np.mean(predictions == test.labels))
    sha256 = hashlib.sha256(FILE.read_bytes()).hexdigest()
    print(json.dumps({"bytes": FILE.stat().st_size, "sha256": sha256, "test_accuracy": accuracy}, indent=2))


if __name__ == "__main__":
    main(train_digit_features)
