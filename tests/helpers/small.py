"""A small project folder with data that a classifier can learn: four bright shapes on noise."""

import shutil
from pathlib import Path

import numpy as np

from convzoo.data.arrays import Split, digest
from convzoo.families.classifier.settings import TrainingSettings
from convzoo.files import write_json
from convzoo.settings.compute import ComputeSettings
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from helpers.project import ROOT

CLASSES = 4
COMPUTE = ComputeSettings(device="cpu", devices=1, precision="fp32", threads=2, deterministic=True)


def shapes(count: int, seed: int, channels: int = 1) -> Split:
    """Images (count, 28, 28, channels) of a flat bar, an upright bar, a square or a cross, anywhere."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % CLASSES
    images = rng.integers(0, 60, (count, 28, 28, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(2, 10, 2)
        for drawn, height, width in ((label in (0, 3), 3, 15), (label in (1, 3), 15, 3), (label == 2, 10, 10)):
            if drawn:
                y, x = top + (15 - height) // 2, left + (15 - width) // 2
                image[y : y + height, x : x + width] = rng.integers(160, 255)
    return Split(images, labels)


def small_project(folder: Path, channels: int = 1) -> Path:
    """params.yaml, and data as the stages before training leave them: 128 train, 64 variants, 40 val, 60 test."""
    shutil.copy(ROOT / "params.yaml", folder)
    prepared = folder / "data/prepared/mnist"
    parts = {
        "train": (prepared / "train", shapes(128, 1, channels)),
        "augmented": (folder / "data/augmented/mnist", shapes(64, 2, channels)),
        "val": (prepared / "val", shapes(40, 3, channels)),
        "test": (prepared / "test", shapes(60, 4, channels)),
    }
    for path, split in parts.values():
        path.mkdir(parents=True)
        np.save(path / "images.npy", split.images)
        np.save(path / "labels.npy", split.labels)
    meta = {"dataset": "mnist", "classes": list("abcd"), "shape": [28, 28, channels]}
    write_json(prepared / "train/meta.json", meta | {"mean": [0.2] * channels, "std": [0.3] * channels})
    digests = {name: digest(split) for name, (_, split) in parts.items() if name != "test"}
    write_json(folder / "data/validated/mnist.json", {"dataset": "mnist", "passed": True} | digests)
    return folder


def small_settings(**changes) -> TrainingSettings:
    """The committed settings of mnist-classifier, made small: 3 epochs, 8 and 16 channels."""
    settings = network_settings(read_params(ROOT / "params.yaml"), "networks", "mnist-classifier")
    fast = settings.fast.model_copy(update={"widths": [8, 16]})
    reference = settings.reference.model_copy(update={"blocks": [[8], [8]], "dense": 16})
    small = {"fast": fast, "reference": reference, "epochs": 3, "batch_size": 32, "ema_decay": 0.5}
    return settings.model_copy(update=small | changes)
