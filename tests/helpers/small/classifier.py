"""A small classifier of four bright shapes."""

from pathlib import Path
from typing import Any

import numpy as np

from convzoo.families.classifier.settings import EvaluationSettings, ExportSettings, TrainingSettings
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from helpers.project import ROOT
from helpers.small.family import Family, Port, write_project
from helpers.small.images import shapes

NETWORK = "mnist-classifier"


def small_project(folder: Path, channels: int = 1) -> Path:
    """A project with 128 train images, 64 variants, 40 val and 60 test images."""
    counts = {"train": (128, 1), "augmented": (64, 2), "val": (40, 3), "test": (60, 4)}
    splits = {name: shapes(count, seed, channels) for name, (count, seed) in counts.items()}
    return write_project(folder, "mnist", splits, list("abcd"), mean=[0.2] * channels, std=[0.3] * channels)


def small_settings(**changes: Any) -> TrainingSettings:
    """The committed settings, made small: 3 epochs, 8 and 16 channels."""
    settings = network_settings(read_params(ROOT / "params.yaml"), "networks", NETWORK)
    fast = settings.fast.model_copy(update={"widths": [8, 16]})
    reference = settings.reference.model_copy(update={"blocks": [[8], [8]], "dense": 16})
    small = {"fast": fast, "reference": reference, "epochs": 3, "batch_size": 32, "ema_decay": 0.5}
    return settings.model_copy(update=small | changes)


FAST = {"channels": 1, "classes": 10, "activation": "gelu", "widths": [8, 16]}
FAST |= {"convolutions": 2, "pooling": "max", "whitening": True, "dirac": True, "logit_scale": 0.125}
REFERENCE = {"height": 28, "width": 28, "channels": 1, "classes": 10, "activation": "relu", "dense": 16}
BEST = {"keep": "best", "learning_rate": 0.01}

CLASSIFIER = Family(
    name="classifier",
    network=NETWORK,
    project=small_project,
    settings=small_settings,
    exporting=ExportSettings(views="identity", calibrate=False, parity_images=40),
    evaluation=EvaluationSettings(batch_size=7, confidence=0.95, top_k=2, calibration_bins=10, mistakes_shown=4),
    zoo={
        "fast": (("fast", FAST), (1, 28, 28), (10,)),
        "fast, colour": (
            ("fast", FAST | {"channels": 3, "whitening": False, "dirac": False}),
            (3, 28, 28),
            (10,),
        ),
        "fast, three convolutions": (
            (
                "fast",
                FAST | {"convolutions": 3, "kernels": [[3, 1, 1], [2, 3, 3]], "middles": [8, 6], "pooling": "max_mean"},
            ),
            (1, 28, 28),
            (10,),
        ),
        "reference": (
            ("reference", REFERENCE | {"blocks": [[8], [8, 8]], "padding": "valid", "dropout": 0.5}),
            (1, 28, 28),
            (10,),
        ),
        "reference, colour": (
            ("reference", REFERENCE | {"blocks": [[8, 8]] * 2, "padding": "same", "dropout": 0.0, "channels": 3}),
            (3, 28, 28),
            (10,),
        ),
    },
    variants=[
        BEST | {"shift": 2, "rotation": 5, "cutout": 4, "flip": "alternating"},
        BEST | {"optimizer": "adamw"},
        BEST | {"optimizer": "muon", "sizes": [14, 28]},
        BEST | {"architecture": "reference"},
    ],
    short={"epochs": 1},
    long={"epochs": 5},
    switches=[{"seed": 1}, {"activation": "silu"}],
    diverging=[({"learning_rate": 1e30, "schedule": "constant", "warmup": 0.0, "ema_decay": 0.0}, 1)],
    rate="learning_rate",
    columns=["epoch", "learning_rate", "train_petaflops", "train_loss", "train_accuracy", "val_loss", "val_accuracy"],
    extra={"augmented_batch.npy"},
    files={
        "model.onnx": Port("uint8 (N, 28, 28, 1)", "float32 (N, 4)", "probability"),
        "parts/features.onnx": Port("uint8 (N, 28, 28, 1)", "float32 (N, 16)", "feature"),
    },
    evaluated={"model.onnx"},
    metrics={
        *("classes", "test_images", "test_loss", "test_calibration_error", "test_macro_f1"),
        *("test_accuracy", "test_accuracy_low", "test_accuracy_high", "test_top2_accuracy"),
    },
    plots={
        *("confusion.csv", "calibration.csv", "classes.csv", "confusion.png", "calibration.png", "classes.png"),
        *("mistakes.png", "augmented_batch.png"),
    },
    summary=r"60 test images of mnist \(drawn by convzoo, not the real set\)(.|\n)*images/s",
    on_cuda=[{}],
    difference=np.max,
    tolerance=0.05,  # of a probability
)
