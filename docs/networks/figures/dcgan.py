"""The figures of docs/networks/dcgan.md, for which a small DCGAN is trained on digits without their classes."""

from pathlib import Path
from typing import Any

import numpy as np

from convzoo.data.arrays import evenly_spaced
from convzoo.data.batches import ImageSet
from convzoo.families.dcgan.network import build
from convzoo.families.dcgan.train import describe, fit
from convzoo.files import read_json
from convzoo.metrics.features import FeatureNetwork
from convzoo.settings.compute import ComputeSettings
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.shipping.model import Model
from convzoo.training import machine
from convzoo.training.state import TrainState
from figures import adversaries
from figures.trained import load_data, read_output

NETWORK = "mnist-dcgan"
EPOCHS = 16  # more than in the profile starter, whose samples are too early
COMPUTE = ComputeSettings(
    portable=False,
    device="cpu",
    devices=1,
    nodes=1,
    strategy="auto",
    precision="fp32",
    threads=1,
    deterministic=True,
)
FACES = "anime"


def draw(folder: Path) -> None:
    """Write the figures to `folder`, from a training of NETWORK over EPOCHS.

    Raises ConvzooError if the pipeline has not written the data, the feature network or NETWORK.
    """
    state, architecture, features = train()
    data, frames = load_data("mnist"), state.notes["samples"]
    generator, discriminator = build(architecture["generator"], architecture["discriminator"])
    generator.load_state_dict(state.best["generator"])
    discriminator.load_state_dict(state.best["discriminator"])
    generator.eval()

    adversaries.draw_players(folder / "dcgan-players.png", generator, discriminator, data, frames[1])
    adversaries.draw_transposed(folder / "dcgan-transposed.png")
    adversaries.draw_way(folder / "dcgan-way.png", generator)
    adversaries.draw_objective(folder / "dcgan-objective.png")
    adversaries.draw_history(folder / "dcgan-history.png", state.history, state.notes["best_epoch"])
    adversaries.draw_epochs(folder / "dcgan-epochs.png", frames)
    adversaries.draw_walk(folder / "dcgan-walk.png", generator)
    adversaries.draw_classes(folder / "dcgan-classes.png", Model(Path("models", NETWORK, "model.onnx")))
    faces = np.asarray(load_data(FACES).train.images[:6])
    adversaries.draw_changes(folder / "dcgan-changes.png", faces)
    adversaries.draw_distances(folder / "dcgan-distances.png", features, data, generator)


def train() -> tuple[TrainState, dict[str, Any], FeatureNetwork]:
    """Return the final state of the training, the content of architecture.json and the feature network."""
    settings = network_settings(read_params(), "networks", NETWORK)
    settings = settings.model_copy(update={"conditional": False, "epochs": EPOCHS, "select_every": 1})
    read_output(Path("data/prepared", settings.data, "train", "meta.json"), "validate")
    architecture = describe(settings, read_json(Path("data/prepared", settings.data, "train", "meta.json")))
    features = FeatureNetwork(settings.weights, architecture["shape"][-1])
    data = load_data(settings.data)
    real = features(np.asarray(data.val.images[evenly_spaced(len(data.val.images), settings.select_images)]))
    fabric = machine.start(COMPUTE, settings.seed)
    images = ImageSet([data.train], fabric.device)
    state = TrainState(NETWORK)
    fit(settings, architecture, fabric, images, real, features, state)
    return state, architecture, features
