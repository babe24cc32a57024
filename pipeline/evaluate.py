"""Measures an exported network on the test images: pipeline/evaluate.py NETWORK."""

from convzoo.checks.stage import main
from convzoo.families.find import family_module
from convzoo.settings.load import read_params
from convzoo.settings.networks import family_of, network_settings


def run(network: str) -> None:
    """Write models/NETWORK/evaluation.json, metrics.json and plots/."""
    params = read_params()
    settings = network_settings(params, "evaluation", network)
    family_module(family_of(params, network), "evaluate").evaluate(network, settings)


if __name__ == "__main__":
    main(run)
