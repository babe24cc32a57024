"""Trains an autoencoder on data that passed the check."""

from convzoo.errors import main
from convzoo.families.autoencoder.settings import training_settings
from convzoo.families.autoencoder.train import train
from convzoo.settings.compute import compute_settings
from convzoo.settings.load import read_params


def run(network: str) -> None:
    """Write models/NETWORK/: weights, architecture, history, fingerprint and extra pictures."""
    params = read_params()
    train(network, training_settings(params, network), compute_settings(params), params.values["profile"])


if __name__ == "__main__":
    main(run)
