"""A small project folder for a DCGAN: grey shapes, and a feature network that averages over 4x4 pixels."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from convzoo.families.dcgan.settings import EvaluationSettings, TrainingSettings, as_paper
from convzoo.files import sha256_of, write_json
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from helpers.onnx_files import save_graph
from helpers.project import ROOT
from helpers.small import small_project

NETWORK = "mnist-dcgan"
EVALUATION = EvaluationSettings(
    seed=0,
    batch_size=16,
    generated_images=30,
    real_images=25,
    kid_subsets=4,
    kid_subset_images=10,
    neighbours=2,
    probe_images=40,
    pictured=6,
)


def dcgan_project(folder: Path, channels: int = 1) -> Path:
    """What the stages before training leave, with features (N, 49) of images 28x28."""
    project = small_project(folder, channels)
    save_features(project / "data/weights/digits/features.onnx", channels)
    return project


def save_features(path: Path, channels: int = 1, scale: float = 1 / 255) -> None:
    """A feature network and its weights.json: mean brightness of each square of 4x4 pixels, as float32 (N, 49)."""
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
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 28, 28, channels])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 49])],
        [
            numpy_helper.from_array(np.array(scale, np.float32), "scale"),
            numpy_helper.from_array(np.array([3], np.int64), "axis"),
            numpy_helper.from_array(np.array([1], np.int64), "one"),
        ],
    )
    write_json(path.with_name("weights.json"), {"files": {path.name: sha256_of(path)}})


def dcgan_settings(**changes) -> TrainingSettings:
    """The committed settings of mnist-dcgan, made small: 3 epochs of 4 steps, 4 and 8 channels."""
    settings = network_settings(read_params(ROOT / "params.yaml"), "networks", NETWORK)
    small = {"generator_width": 4, "discriminator_width": 4, "latents": 8, "epochs": 3, "batch_size": 32}
    # Rates at which a dozen steps can be seen in the pictures.
    small |= {"generator_learning_rate": 5e-3, "discriminator_learning_rate": 5e-3}
    small |= {"ema_decay": 0.5, "select_every": 1, "select_images": 20, "grid_columns": 4, "grid_rows": 2}
    settings = settings.model_copy(update=small | changes)
    return as_paper(settings).model_copy(update={"batch_size": 32}) if settings.variant == "plain" else settings
