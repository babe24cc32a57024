"""A small transfer network of the four shapes in colour, on a backbone with random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from convzoo.families.transfer.settings import EvaluationSettings, ExportSettings, TrainingSettings
from convzoo.files import sha256_of, write_json
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.weights.backbones import cut, whole
from helpers.project import ROOT
from helpers.small import classifier
from helpers.small.family import Family, Port, write_project
from helpers.small.images import shapes

NETWORK = "flowers-transfer"
PROBABILITIES = Port("uint8 (N, 28, 28, 3)", "float32 (N, 4)", "probability")


def made_weights(folder: Path, backbone: str = "efficientnet-lite0", seed: int = 0) -> None:
    """data/weights/NAME as the stage leaves it, with random numbers in place of what was learned."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    tensors = cut(whole(backbone)).state_dict()
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "weights.safetensors")
    files = {"weights.safetensors": sha256_of(folder / "weights.safetensors")}
    about = {"backbone": backbone, "side": None, "source": {"file": "made.pth", "sha256": "0" * 64}}
    write_json(folder / "weights.json", {"name": folder.name, "kind": "file", "files": files, **about})


def small_project(folder: Path) -> Path:
    """A project with weights, 48 train images, 32 variants, 20 val and 24 test images."""
    made_weights(folder / "data/weights/efficientnet-lite0")
    counts = {"train": (48, 1), "augmented": (32, 2), "val": (20, 3), "test": (24, 4)}
    splits = {name: shapes(count, seed, 3) for name, (count, seed) in counts.items()}
    return write_project(folder, "flowers", splits, list("abcd"), mean=[0.2] * 3, std=[0.3] * 3)


def small_settings(**changes: Any) -> TrainingSettings:
    """The committed settings, made small: 2 epochs on features, 2 of fine-tuning, 32 pixels."""
    settings = network_settings(read_params(ROOT / "params.yaml"), "networks", NETWORK)
    features = {"epochs": 2, "batch_size": 20} | changes.pop("features", {})
    finetune = {"epochs": 2, "batch_size": 16, "blocks": 3, "ema_decay": 0.5} | changes.pop("finetune", {})
    parts = {
        "features": settings.features.model_copy(update=features),
        "finetune": settings.finetune.model_copy(update=finetune),
    }
    return settings.model_copy(update={"side": 32, **parts, **changes})


ARGUMENTS = {"side": 32, "classes": 4, "head": "linear", "dense": 16, "dropout": 0.2}
CONSTANT = {"schedule": "constant", "warmup": 0.0}

TRANSFER = Family(
    name="transfer",
    network=NETWORK,
    project=small_project,
    settings=small_settings,
    exporting=ExportSettings(views="mirror", calibrate=True, parity_images=20),
    evaluation=EvaluationSettings(batch_size=10, confidence=0.95, top_k=2, calibration_bins=5, mistakes_shown=4),
    zoo={
        "EfficientNet-Lite0": (("efficientnet-lite0", ARGUMENTS), (3, 40, 28), (4,)),
        "EfficientNet-Lite0, dense head": (("efficientnet-lite0", ARGUMENTS | {"head": "dense"}), (3, 40, 28), (4,)),
        "ResNet-50": (("resnet50", ARGUMENTS), (3, 40, 28), (4,)),
    },
    variants=[{"keep": "best", "finetune": {"mixup": 0.2, "cutmix": 1, "rotation": 20, "blocks": 9}}],
    short={"method": "features"},
    long={},
    switches=[{"seed": 1}, {"head": "dense"}],
    diverging=[
        (CONSTANT | {"features": {"learning_rate": 1e30}}, 1),
        (CONSTANT | {"finetune": {"learning_rate": 1e30}}, 3),
    ],
    rate="learning_rate",
    columns=["epoch", "phase", *classifier.CLASSIFIER.columns[1:]],
    extra={"augmented_batch.npy", "features_head.safetensors"},
    files={
        "model.onnx": PROBABILITIES,
        "parts/features.onnx": Port(PROBABILITIES.input, "float32 (N, 1280)", "feature"),
        "parts/features_head.onnx": PROBABILITIES,
    },
    evaluated={"model.onnx", "parts/features_head.onnx"},
    metrics=classifier.CLASSIFIER.metrics
    | {
        *("test_features_accuracy", "test_features_accuracy_low", "test_features_accuracy_high"),
        *("test_gain", "test_gain_p_value", "ways"),
    },
    plots=classifier.CLASSIFIER.plots | {"features_and_finetuned.csv", "features_and_finetuned.png"},
    summary="24 test images of flowers (.|\n)*the head on the untouched backbone(.|\n)*images/s",
    on_cuda=[
        {"method": method, "finetune": {"batch_norm": "frozen", "learning_rate": 1e-4}}
        for method in ("features", "finetune")
    ],
    difference=np.max,
    tolerance=0.05,  # of a probability
)
