"""What the server of killing.py imports before it forks: all that a training needs."""

import autoencoder_small
import dcgan_small
import small
import transfer_small

from convzoo.training import autoencoder, classifier, dcgan, transfer

COMPUTE = small.COMPUTE.model_copy(update={"threads": 1})
EPOCHS = 5
TRAININGS = {
    "classifier": (classifier, lambda: small.small_settings(epochs=EPOCHS), "mnist-classifier"),
    "autoencoder": (autoencoder, lambda: autoencoder_small.small_settings(epochs=EPOCHS), "cifar10-autoencoder"),
    "dcgan": (dcgan, lambda: dcgan_small.dcgan_settings(epochs=EPOCHS), "mnist-dcgan"),
    "transfer": (transfer, lambda: transfer_small.small_settings(), "flowers-transfer"),
}


def train(family: str) -> None:
    """The training of killing.FAMILIES, in the current folder."""
    module, settings, network = TRAININGS[family]
    module.train(network, settings(), COMPUTE, "test")
