"""Exports a trained network to ONNX: pipeline/export.py NETWORK."""

from convzoo.checks.stage import main
from convzoo.families.find import family_module
from convzoo.settings.load import read_params
from convzoo.settings.networks import family_of, network_settings


def run(network: str) -> None:
    """Write models/NETWORK/model.onnx and export.json."""
    params = read_params()
    settings = network_settings(params, "export", network)
    family_module(family_of(params, network), "export").export(network, settings)


if __name__ == "__main__":
    main(run)
