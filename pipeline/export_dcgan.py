"""Exports a trained generator as one ONNX file: latents in, pictures out."""

from convzoo.errors import main
from convzoo.families.dcgan.export import export
from convzoo.families.dcgan.settings import export_settings
from convzoo.settings.load import read_params


def run(network: str) -> None:
    """Write models/NETWORK/model.onnx and export.json."""
    export(network, export_settings(read_params(), network))


if __name__ == "__main__":
    main(run)
