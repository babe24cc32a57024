"""A small project for the transfer family: the four shapes in colour, and a backbone with weights that a test made."""

import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from convzoo.data.arrays import digest
from convzoo.families.transfer import train as training
from convzoo.families.transfer.settings import TrainingSettings
from convzoo.files import sha256_of, write_json
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.weights.backbones import cut, whole
from helpers.project import ROOT
from helpers.small import COMPUTE as TWO_THREADS
from helpers.small import shapes

COMPUTE = TWO_THREADS.model_copy(update={"threads": 1})  # many small layers: two threads would wait for each other
NETWORK = "flowers-transfer"
FOLDER = Path("models", NETWORK)


def made_weights(folder: Path, backbone: str = "efficientnet-lite0", seed: int = 0) -> None:
    """data/weights/NAME as the stage leaves it, with random numbers in place of what was learned."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    tensors = cut(whole(backbone)).state_dict()
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "weights.safetensors")
    files = {"weights.safetensors": sha256_of(folder / "weights.safetensors")}
    about = {"backbone": backbone, "side": None, "source": {"file": "made.pth", "sha256": "0" * 64}}
    write_json(folder / "weights.json", {"name": folder.name, "kind": "file", "files": files, **about})


def small_project(folder: Path, backbone: str = "efficientnet-lite0") -> Path:
    """params.yaml, weights, and data as the stages before training leave them: 48 train, 32 variants, 20 val, 24 test
    images.
    """
    shutil.copy(ROOT / "params.yaml", folder)
    made_weights(folder / "data/weights/efficientnet-lite0", backbone)
    prepared = folder / "data/prepared/flowers"
    parts = {
        "train": (prepared / "train", shapes(48, 1, 3)),
        "augmented": (folder / "data/augmented/flowers", shapes(32, 2, 3)),
        "val": (prepared / "val", shapes(20, 3, 3)),
        "test": (prepared / "test", shapes(24, 4, 3)),
    }
    for path, split in parts.values():
        path.mkdir(parents=True)
        np.save(path / "images.npy", split.images)
        np.save(path / "labels.npy", split.labels)
    rows = "\n".join(["id,label", *(f"test-{number:03d},0" for number in range(24))])
    (prepared / "test/manifest.csv").write_text(rows + "\n")
    meta = {"dataset": "flowers", "classes": list("abcd"), "shape": [28, 28, 3]}
    write_json(prepared / "train/meta.json", meta | {"mean": [0.2] * 3, "std": [0.3] * 3})
    write_json(prepared / "meta.json", meta | {"source": {"kind": "archive", "name": "shapes"}})
    digests = {name: digest(split) for name, (_, split) in parts.items() if name != "test"}
    write_json(folder / "data/validated/flowers.json", {"dataset": "flowers", "passed": True} | digests)
    return folder


def small_settings(**changes) -> TrainingSettings:
    """The committed settings of flowers-transfer, made small: 2 epochs on features, 2 of fine-tuning, 32 pixels."""
    settings = network_settings(read_params(ROOT / "params.yaml"), "networks", NETWORK)
    features = {"epochs": 2, "batch_size": 20} | changes.pop("features", {})
    finetune = {"epochs": 2, "batch_size": 16, "blocks": 3, "ema_decay": 0.5} | changes.pop("finetune", {})
    parts = {
        "features": settings.features.model_copy(update=features),
        "finetune": settings.finetune.model_copy(update=finetune),
    }
    return settings.model_copy(update={"side": 32, **parts, **changes})


def train(**changes) -> str:
    """Train with these settings; the weights' sha256."""
    training.train(NETWORK, small_settings(**changes), COMPUTE, "test")
    return sha256_of(FOLDER / "weights.safetensors")
