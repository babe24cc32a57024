"""The figures of docs/networks/classifier.md."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor

from convzoo.families.classifier.network import Fast, build
from figures import activations, augmenting, layers, learning
from figures.trained import Data, load_data, load_weights, read_output

DIGIT = 4  # the class whose first val image is shown in every layer
PAIR = (3, 8)  # classes that two weights separate
COLOUR_IMAGE = 3  # of the train images, for augmentation
RACE_STEPS = 60  # of each optimizer
BATCH = 250  # images at a time, also for the gradient
WARMUP = 0.2  # of the schedules' figure


def draw(folder: Path, digits: str = "mnist-classifier", colours: str = "cifar10-classifier") -> None:
    """Write the figures to `folder`, from the two trained networks and their data.

    Raises ConvzooError if the pipeline has not written them.
    """
    model, data = load(digits)
    image = layers.first_of(data, DIGIT)
    layers.draw_way(folder / "classifier-way.png", model, data, image)
    layers.draw_convolution(folder / "classifier-convolution.png", model, data, image)
    layers.draw_whitening(folder / "classifier-whitening.png", *load(colours))
    layers.draw_dirac(folder / "classifier-dirac.png", model, untrained(digits, model), data, image)
    layers.draw_pooling(folder / "classifier-pooling.png", model, data, image)
    layers.draw_normalisation(folder / "classifier-normalisation.png", model, data)

    activations.draw_activations(folder / "classifier-activations.png")
    activations.draw_gradients(folder / "classifier-gradients.png", data)
    logits, labels = val_logits(model, data)
    uncertain = int((logits.softmax(1).amax(1) - 0.5).abs().argmin())
    temperature = read_output(Path("models", digits, "export.json"), f"export@{digits}")["temperature"]
    activations.draw_softmax(
        folder / "classifier-softmax.png",
        np.asarray(data.val.images[uncertain]),
        logits[uncertain].numpy(),
        data.classes,
        temperature,
    )

    losses = F.cross_entropy(logits, labels, reduction="none").numpy()
    learning.draw_losses(folder / "classifier-losses.png", losses, len(data.classes))
    learning.draw_paths(folder / "classifier-optimizers.png", data, *PAIR)
    learning.draw_race(folder / "classifier-race.png", data, RACE_STEPS)
    learning.draw_muon(folder / "classifier-muon.png", gradient(model, data))
    learning.draw_schedules(folder / "classifier-schedules.png", WARMUP)
    learning.draw_average(folder / "classifier-average.png", data)

    coloured = load_data(read_output(Path("models", colours, "architecture.json"), f"export@{colours}")["dataset"])
    augmenting.draw_augmentation(
        folder / "classifier-augmentation.png", coloured, np.asarray(coloured.train.images[COLOUR_IMAGE])
    )


def load(network: str) -> tuple[Fast, Data]:
    """Load a trained network and the data set that it was trained on."""
    architecture = read_output(Path("models", network, "architecture.json"), f"export@{network}")
    model = build(architecture["architecture"], architecture["arguments"])
    return load_weights(model, Path("models", network, "weights.safetensors"), network), load_data(
        architecture["dataset"]
    )


def untrained(network: str, model: Fast) -> Fast:
    """Build the network as it is before training, with the stem of the trained one."""
    architecture = read_output(Path("models", network, "architecture.json"), f"export@{network}")
    torch.manual_seed(0)
    fresh = build(architecture["architecture"], architecture["arguments"]).eval()
    fresh.stem.load_state_dict(model.stem.state_dict())
    return fresh


@torch.no_grad()
def val_logits(model: Fast, data: Data) -> tuple[Tensor, Tensor]:
    """Return logits (N, K) and labels (N,) of the val images."""
    starts = range(0, len(data.val.labels), BATCH)
    logits = torch.cat([model(data.floats(data.val.images[start : start + BATCH])) for start in starts])
    return logits, torch.from_numpy(data.val.labels)


def gradient(model: Fast, data: Data) -> Tensor:
    """Return the gradient (out, in, h, w) of the last block's first convolution on a batch of train images."""
    x, labels = data.sample(BATCH)
    loss = F.cross_entropy(model(x), labels)
    return torch.autograd.grad(loss, model.blocks[-1].conv1.weight)[0]
