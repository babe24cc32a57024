"""A small DCGAN of grey shapes, and a feature network that averages over 4x4 pixels."""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from convzoo.families.dcgan.settings import EvaluationSettings, ExportSettings, TrainingSettings, as_paper
from convzoo.files import sha256_of, write_json
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from helpers.onnx_files import save_graph
from helpers.project import ROOT
from helpers.small import classifier
from helpers.small.family import Family, Port

NETWORK = "mnist-dcgan"


def small_project(folder: Path, channels: int = 1) -> Path:
    """The classifier's project, and features (N, 49) of images 28x28."""
    save_features(folder / "data/weights/digits/features.onnx", channels)
    return classifier.small_project(folder, channels)


def save_features(path: Path, channels: int = 1, scale: float = 1 / 255, side: int = 28) -> None:
    """A feature network and its weights.json: the mean brightness of each square of 4x4 pixels, as float32 (N, D)."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "axis"], ["grey"], keepdims=0),
        helper.make_node("Unsqueeze", ["grey", "one"], ["planes"]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["cells"], ["features"]),
    ]
    save_graph(
        path,
        nodes,
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", side, side, channels])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", (side // 4) ** 2])],
        [
            numpy_helper.from_array(np.array(scale, np.float32), "scale"),
            numpy_helper.from_array(np.array([3], np.int64), "axis"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
        ],
    )
    write_json(path.with_name("weights.json"), {"files": {path.name: sha256_of(path)}})


def small_settings(**changes: Any) -> TrainingSettings:
    """The committed settings, made small: 3 epochs of 4 steps, 4 and 8 channels."""
    settings = network_settings(read_params(ROOT / "params.yaml"), "networks", NETWORK)
    small = {
        "conditional": False,
        "generator_width": 4,
        "discriminator_width": 4,
        "latents": 8,
        "epochs": 3,
        "batch_size": 32,
    }
    # Rates at which a dozen steps can be seen in the pictures.
    small |= {"generator_learning_rate": 5e-3, "discriminator_learning_rate": 5e-3}
    small |= {"ema_decay": 0.5, "select_every": 1, "select_images": 20, "grid_columns": 4, "grid_rows": 2}
    settings = settings.model_copy(update=small | changes)
    return as_paper(settings).model_copy(update={"batch_size": 32}) if settings.variant == "plain" else settings


SHAPES = {"28, grey": (28, 1), "32, colour": (32, 3), "64, colour": (64, 3), "64, grey": (64, 1)}
KINDS = {"batch": ("batch", False), "none": ("none", False), "spectral": ("none", True), "both": ("batch", True)}


def players_of(
    shape: tuple[int, int], norm: str = "batch", spectral: bool = False, classes: int = 0
) -> tuple[dict, dict]:
    """The arguments of a generator and a discriminator of images of this size and number of channels."""
    picture = {"size": shape[0], "channels": shape[1], "width": 4, "classes": classes}
    return picture | {"latents": 100}, picture | {"leak": 0.2, "norm": norm, "spectral": spectral}


COLUMNS = ["epoch", "learning_rate", "train_petaflops", "train_discriminator_loss", "train_generator_loss"]
COLUMNS += ["train_real_probability", "train_fake_probability", "val_diversity", "val_kid"]
DISTANCES = ("kid", "kid_spread", "frechet_distance", "precision", "recall")

DCGAN = Family(
    name="dcgan",
    network=NETWORK,
    project=small_project,
    settings=small_settings,
    exporting=ExportSettings(parity_images=20),
    evaluation=EvaluationSettings(
        seed=0,
        batch_size=16,
        generated_images=30,
        real_images=25,
        kid_subsets=4,
        kid_subset_images=10,
        neighbours=2,
        probe_images=40,
        pictured=6,
    ),
    zoo={
        f"{name}, {norm}": (players_of(shape, *kind), (100,), ())
        for name, shape in SHAPES.items()
        for norm, kind in KINDS.items()
    }
    | {"32, colour, classes": (players_of((32, 3), classes=10), (100,), ())},
    variants=[
        {"schedule": "linear"},
        {"schedule": "linear", "discriminator_steps": 2, "loss": "hinge"}
        | {"spectral_norm": True, "discriminator_norm": "none", "r1": 1.0, "r1_every": 3, "conditional": True},
    ],
    short={"epochs": 1},
    long={"epochs": 5},
    switches=[
        *({"seed": 1}, {"variant": "plain"}, {"spectral_norm": True}, {"stored_variants": True}),
        {"conditional": True},
    ],
    diverging=[({"discriminator_learning_rate": 1e30}, 1)],
    rate="(discriminator|generator)_learning_rate",
    columns=COLUMNS,
    extra={
        *("progress.npy", "latent_walk.npy", "real_augmented_generated.npy"),
        *("discriminator.safetensors", "kept.json"),
    },
    files={
        "model.onnx": Port("float32 (N, 8)", "uint8 (N, 28, 28, 1)", "grey level"),
        "parts/discriminator.onnx": Port("uint8 (N, 28, 28, 1)", "float32 (N, 448)", "feature"),
    },
    evaluated={"model.onnx", "parts/discriminator.onnx"},
    metrics={
        *(f"{side}_{name}" for side in ("train", "test") for name in DISTANCES),
        *("test_probe_accuracy", "test_probe_accuracy_low", "test_probe_accuracy_high", "test_probe_train_images"),
        *("test_generated_images", "test_kid_low", "test_kid_high"),
        *("kept_epoch", "epochs", "comparisons", "feature_network"),
    },
    plots={
        *("comparisons.png", "feature_space.png", "nearest_real_images.png", "samples.png"),
        *("first_and_last.png", "latent_walk.png", "progress.gif", "real_augmented_generated.png"),
    },
    summary="KID",
    on_cuda=[{"select_every": 3}],
    difference=np.mean,
    tolerance=8.0,  # grey levels, after 12 steps
)
