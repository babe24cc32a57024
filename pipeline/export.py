"""Exports a trained network to ONNX: pipeline/export.py NETWORK."""

from convzoo.checks.stage import main
from convzoo.families.find import family_module, family_of
from convzoo.settings.load import read_params


def run(network: str) -> None:
    """Write models/NETWORK/model.onnx and export.json."""
    params = read_params()
    family = family_of(params, network)
    settings = family_module(family, "settings").export_settings(params, network)
    family_module(family, "export").export(network, settings)


if __name__ == "__main__":
    main(run)
