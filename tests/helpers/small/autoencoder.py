"""A small autoencoder of pictures of two colours that blend, and a bar."""

from pathlib import Path
from typing import Any

import numpy as np

from convzoo.families.autoencoder.settings import EvaluationSettings, ExportSettings, TrainingSettings
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from helpers.project import ROOT
from helpers.small.family import Family, Port, write_project
from helpers.small.images import BARS, pictures

NETWORK = "cifar10-autoencoder"
PIXELS, LATENTS = "uint8 (N, 16, 16, 3)", "float32 (N, 12)"


def small_project(folder: Path) -> Path:
    """A project with 160 train images, no variants, 40 val and 60 test images."""
    counts = {"train": (160, 1), "augmented": (0, 2), "val": (40, 3), "test": (60, 4)}
    splits = {name: pictures(*numbers) for name, numbers in counts.items()}
    return write_project(folder, "cifar10", splits, BARS, mean=[0.5] * 3, std=[0.3] * 3)


def small_settings(**changes: Any) -> TrainingSettings:
    """The committed settings, made small: 3 epochs, 12 latents, 8 channels."""
    settings = network_settings(read_params(ROOT / "params.yaml"), "networks", NETWORK)
    fast = {"latent": 12, "features": 8, "strides": [4], "encoder_blocks": 1, "decoder_blocks": 1}
    fast |= {name: changes.pop(name) for name in list(changes) if name in (*fast, "pca")}
    small = {"fast": settings.fast.model_copy(update=fast), "epochs": 3, "batch_size": 32, "learning_rate": 2e-3}
    return settings.model_copy(update=small | changes)


PICTURE = {"height": 16, "width": 16, "channels": 3, "activation": "gelu"}
FAST = PICTURE | {"latent": 12, "features": 8, "strides": [4], "encoder_blocks": 1, "decoder_blocks": 2}

AUTOENCODER = Family(
    name="autoencoder",
    network=NETWORK,
    project=small_project,
    settings=small_settings,
    exporting=ExportSettings(parity_images=40),
    evaluation=EvaluationSettings(
        batch_size=25, pca_images=160, probe_images=150, probe_iterations=50, shown=6, mapped=30, map="pca"
    ),
    zoo={
        "fast": (("fast", FAST), (3, 16, 16), (3, 16, 16)),
        "fast, two strides, grey": (
            ("fast", FAST | {"strides": [2, 2], "channels": 1, "activation": "relu"}),
            (1, 16, 16),
            (1, 16, 16),
        ),
        "fast, no blocks, not square": (
            ("fast", FAST | {"encoder_blocks": 0, "decoder_blocks": 0, "width": 24}),
            (3, 16, 24),
            (3, 16, 24),
        ),
        "reference": (("reference", PICTURE | {"features": [8, 4]}), (3, 16, 16), (3, 16, 16)),
        "reference, grey": (
            ("reference", PICTURE | {"features": [4], "channels": 1, "activation": "tanh"}),
            (1, 16, 16),
            (1, 16, 16),
        ),
    },
    variants=[
        {"flip": "alternating", "shift": 1, "ema_decay": 0.5, "epochs": 6},
        {"architecture": "reference", "keep": "last"},
    ],
    short={"epochs": 1},
    long={"epochs": 5},
    switches=[{"seed": 1}, {"pca": False}],
    diverging=[({"learning_rate": 1e30, "optimizer": "sgd", "schedule": "constant", "warmup": 0.0}, 1)],
    rate="learning_rate",
    columns=["epoch", "learning_rate", "train_petaflops", "train_loss", "val_loss", "val_psnr"],
    extra={"linear_path.npy", "training_images.npy"},
    files={
        "model.onnx": Port(PIXELS, PIXELS, "grey level"),
        "parts/encoder.onnx": Port(PIXELS, LATENTS, "latent"),
        "parts/decoder.onnx": Port(LATENTS, PIXELS, "grey level"),
    },
    evaluated={"model.onnx", "parts/encoder.onnx"},
    metrics={
        *("classes", "compared", "latent", "test_images", "test_mse", "test_psnr", "test_image_psnr", "test_ssim"),
        *("test_pca_mse", "test_pca_psnr", "test_pca_image_psnr", "test_pca_ssim"),
        *("test_probe_accuracy", "test_psnr_above_pca", "test_psnr_low", "test_psnr_high"),
    },
    plots={
        *("best_and_worst.png", "classes.csv", "latents.png", "linear_path.png", "psnr.png", "psnr_per_image.csv"),
        *("reconstructions.png", "training_images.png"),
    },
    summary=r"60 test images of cifar10 \(drawn by convzoo, not the real set\) from 12 numbers each(.|\n)*images/s",
    on_cuda=[{}],
    difference=np.mean,
    tolerance=2.0,  # grey levels
)
