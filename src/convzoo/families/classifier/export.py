"""Turns a trained classifier into the one file that ships."""

from pathlib import Path

from convzoo.families.classifier.network import build
from convzoo.families.classifier.settings import ExportSettings
from convzoo.families.probabilities.export import export_probabilities
from convzoo.files import read_json


def export(network: str, settings: ExportSettings) -> None:
    """Write models/NETWORK/model.onnx and export.json: raw uint8 (B, H, W, C) in, probabilities (B, K) out.

    Raises ConvzooError, and leaves no model.onnx, where the file does not do what the weights do.
    """
    described = read_json(Path("models", network, "architecture.json"))
    export_probabilities(network, described, build(described["architecture"], described["arguments"]), settings, {})
