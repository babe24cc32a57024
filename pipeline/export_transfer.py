"""Exports a network that started from published weights as one ONNX file that eats raw pixels."""

from convzoo.errors import main
from convzoo.export.transfer import export
from convzoo.settings.load import read_params
from convzoo.settings.transfer import export_settings


def run(network: str) -> None:
    """Write models/NETWORK/model.onnx and export.json."""
    export(network, export_settings(read_params(), network))


if __name__ == "__main__":
    main(run)
