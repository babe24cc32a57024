"""Measures an exported network on the test images: pipeline/evaluate.py NETWORK."""

from convzoo.checks.stage import main
from convzoo.families.find import family_module, family_of
from convzoo.settings.load import read_params


def run(network: str) -> None:
    """Write models/NETWORK/metrics.json and plots/."""
    params = read_params()
    family = family_of(params, network)
    settings = family_module(family, "settings").evaluation_settings(params, network)
    family_module(family, "evaluate").evaluate(network, settings)


if __name__ == "__main__":
    main(run)
