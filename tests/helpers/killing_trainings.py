"""What the server of killing.py imports before it forks: all that a training needs."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from convzoo.families.autoencoder import train as autoencoder
from convzoo.families.classifier import train as classifier
from convzoo.families.dcgan import train as dcgan
from convzoo.families.transfer import train as transfer
from helpers import autoencoder_small, dcgan_small, small, transfer_small

COMPUTE = small.COMPUTE.model_copy(update={"threads": 1})
EPOCHS = 5


class Training(NamedTuple):
    """A family's loop, its settings made small, and a project to train in."""

    module: ModuleType
    network: str
    settings: Any
    project: Any  # a function that makes it in an empty folder


TRAININGS = {
    "classifier": Training(classifier, "mnist-classifier", small.small_settings(epochs=EPOCHS), small.small_project),
    "autoencoder": Training(
        autoencoder,
        "cifar10-autoencoder",
        autoencoder_small.small_settings(epochs=EPOCHS),
        autoencoder_small.small_project,
    ),
    "dcgan": Training(dcgan, "mnist-dcgan", dcgan_small.dcgan_settings(epochs=EPOCHS), dcgan_small.dcgan_project),
    "transfer": Training(transfer, "flowers-transfer", transfer_small.small_settings(), transfer_small.small_project),
}


def train(family: str) -> None:
    """Train in the current folder, where a project is made if there is none."""
    module, network, settings, project = TRAININGS[family]
    if not Path("params.yaml").exists():
        project(Path.cwd())
        print("project made")
    print(f"begins, process {os.getpid()}")
    module.train(network, settings, COMPUTE, "test")
