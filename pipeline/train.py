"""Trains a network on data that passed the checks: pipeline/train.py NETWORK."""

from convzoo.checks.stage import main
from convzoo.families.find import family_module
from convzoo.settings.compute import compute_settings
from convzoo.settings.load import read_params
from convzoo.settings.networks import family_of, network_settings


def run(network: str) -> None:
    """Write models/NETWORK/: weights, architecture, history, fingerprint and extra/."""
    params = read_params()
    settings = network_settings(params, "networks", network)
    train = family_module(family_of(params, network), "train").train
    train(network, settings, compute_settings(params), params.values["profile"])


if __name__ == "__main__":
    main(run)
