"""A small project folder with pictures that an autoencoder can learn: two colours that blend, and a bar."""

import shutil
from pathlib import Path

import numpy as np

from convzoo.data.arrays import Split, digest
from convzoo.families.autoencoder.settings import TrainingSettings
from convzoo.files import write_json
from convzoo.settings.compute import ComputeSettings
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from helpers.project import ROOT

NETWORK = "cifar10-autoencoder"
FOLDER = Path("models", NETWORK)
CLASSES = ["flat", "upright", "none"]
SIDE = 16
COMPUTE = ComputeSettings(device="cpu", devices=1, precision="fp32", threads=1, deterministic=True)


def pictures(count: int, seed: int) -> Split:
    """Pictures (count, 16, 16, 3) that blend two colours from corner to corner, with a flat, an upright or no bar."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    rows, columns = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        turn, first, second = rng.uniform(0, 1), rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        share = (turn * rows + (1 - turn) * columns)[..., None]
        image[:] = first * share + second * (1 - share)
        place = rng.integers(2, SIDE - 4)
        if label == 0:
            image[place : place + 2] = 255
        if label == 1:
            image[:, place : place + 2] = 255
    return Split(images, labels)


def small_project(folder: Path) -> Path:
    """params.yaml, and data as the stages before training leave them: 160 train, no variants, 40 val, 60 test."""
    shutil.copy(ROOT / "params.yaml", folder)
    prepared = folder / "data/prepared/cifar10"
    parts = {
        "train": (prepared / "train", pictures(160, 1)),
        "augmented": (folder / "data/augmented/cifar10", pictures(0, 2)),
        "val": (prepared / "val", pictures(40, 3)),
        "test": (prepared / "test", pictures(60, 4)),
    }
    for path, split in parts.values():
        path.mkdir(parents=True)
        np.save(path / "images.npy", split.images)
        np.save(path / "labels.npy", split.labels)
    meta = {"dataset": "cifar10", "classes": CLASSES, "shape": [SIDE, SIDE, 3], "mean": [0.5] * 3, "std": [0.3] * 3}
    write_json(prepared / "train/meta.json", meta)
    write_json(prepared / "meta.json", {"classes": CLASSES, "source": {"kind": "synthetic", "name": "blends"}})
    digests = {name: digest(split) for name, (_, split) in parts.items() if name != "test"}
    write_json(folder / "data/validated/cifar10.json", {"dataset": "cifar10", "passed": True} | digests)
    return folder


def small_settings(**changes) -> TrainingSettings:
    """The committed settings of cifar10-autoencoder, made small: 3 epochs, 12 latents, 8 channels."""
    settings = network_settings(read_params(ROOT / "params.yaml"), "networks", NETWORK)
    fast = {"latent": 12, "features": 8, "strides": [4], "encoder_blocks": 1, "decoder_blocks": 1}
    fast |= {name: changes.pop(name) for name in list(changes) if name in (*fast, "pca")}
    small = {"fast": settings.fast.model_copy(update=fast), "epochs": 3, "batch_size": 32, "learning_rate": 2e-3}
    return settings.model_copy(update=small | changes)
