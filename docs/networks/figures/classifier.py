"""The pictures of docs/networks/classifier.md."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor

from convzoo.families.classifier.network import Fast, build
from figures import activations, augmenting, layers, learning
from figures.trained import Data, described, load_data, load_weights

DIGIT = 4  # the class whose first val image is followed through the network
PAIR = (3, 8)  # classes that two weights tell apart
COLOUR_IMAGE = 3  # of the train images, for augmentation
RACE_STEPS = 60  # of each optimizer
BATCH = 250  # images whose gradient is looked at
WARMUP = 0.2  # of the schedules' picture


def draw(folder: Path, digits: str = "mnist-classifier", colours: str = "cifar10-classifier") -> None:
    """Write the pictures to `folder`, from the two trained networks and their data.

    Raises ConvzooError where the pipeline has not made them.
    """
    body, data = load(digits)
    image = layers.first_of(data, DIGIT)
    layers.draw_way(folder / "classifier-way.png", body, data, image)
    layers.draw_convolution(folder / "classifier-convolution.png", body, data, image)
    layers.draw_whitening(folder / "classifier-whitening.png", *load(colours))
    layers.draw_dirac(folder / "classifier-dirac.png", body, untrained(digits, body), data, image)
    layers.draw_pooling(folder / "classifier-pooling.png", body, data, image)
    layers.draw_normalisation(folder / "classifier-normalisation.png", body, data)

    activations.draw_activations(folder / "classifier-activations.png")
    activations.draw_gradients(folder / "classifier-gradients.png", data)
    logits, labels = answers(body, data)
    doubtful = int((logits.softmax(1).amax(1) - 0.5).abs().argmin())
    temperature = described(Path("models", digits, "export.json"), f"export@{digits}")["temperature"]
    activations.draw_softmax(
        folder / "classifier-softmax.png",
        np.asarray(data.val.images[doubtful]),
        logits[doubtful].numpy(),
        data.classes,
        temperature,
    )

    losses = F.cross_entropy(logits, labels, reduction="none").numpy()
    learning.draw_losses(folder / "classifier-losses.png", losses, len(data.classes))
    learning.draw_paths(folder / "classifier-optimizers.png", data, *PAIR)
    learning.draw_race(folder / "classifier-race.png", data, RACE_STEPS)
    learning.draw_muon(folder / "classifier-muon.png", gradient(body, data))
    learning.draw_schedules(folder / "classifier-schedules.png", WARMUP)
    learning.draw_average(folder / "classifier-average.png", data)

    coloured = load_data(described(Path("models", colours, "architecture.json"), f"export@{colours}")["dataset"])
    augmenting.draw_augmentation(
        folder / "classifier-augmentation.png", coloured, np.asarray(coloured.train.images[COLOUR_IMAGE])
    )


def load(network: str) -> tuple[Fast, Data]:
    """A trained network, and the data that it was trained on."""
    about = described(Path("models", network, "architecture.json"), f"export@{network}")
    body = build(about["architecture"], about["arguments"])
    return load_weights(body, Path("models", network, "weights.safetensors"), network), load_data(about["dataset"])


def untrained(network: str, body: Fast) -> Fast:
    """The network as it starts, with the trained one's stem."""
    about = described(Path("models", network, "architecture.json"), f"export@{network}")
    torch.manual_seed(0)
    fresh = build(about["architecture"], about["arguments"]).eval()
    fresh.stem.load_state_dict(body.stem.state_dict())
    return fresh


@torch.no_grad()
def answers(body: Fast, data: Data) -> tuple[Tensor, Tensor]:
    """Logits (N, K) and labels (N,) of the val images."""
    starts = range(0, len(data.val.labels), BATCH)
    logits = torch.cat([body(data.floats(data.val.images[start : start + BATCH])) for start in starts])
    return logits, torch.from_numpy(data.val.labels)


def gradient(body: Fast, data: Data) -> Tensor:
    """The gradient (out, in, h, w) of the last block's first filters on a batch of train images."""
    x, labels = data.sample(BATCH)
    loss = F.cross_entropy(body(x), labels)
    return torch.autograd.grad(loss, body.blocks[-1].conv1.weight)[0]
