"""Exports a trained classifier as one ONNX file that eats raw pixels."""

from convzoo.errors import main
from convzoo.families.classifier.export import export
from convzoo.families.classifier.settings import export_settings
from convzoo.settings.load import read_params


def run(network: str) -> None:
    """Write models/NETWORK/model.onnx and export.json."""
    export(network, export_settings(read_params(), network))


if __name__ == "__main__":
    main(run)
