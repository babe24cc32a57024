"""Turns a network that started from published weights into the one file that ships."""

from pathlib import Path

from convzoo.families.probabilities.export import export_probabilities
from convzoo.families.transfer.network import build
from convzoo.families.transfer.settings import ExportSettings
from convzoo.files import read_json


def export(network: str, settings: ExportSettings) -> None:
    """Write models/NETWORK/model.onnx and export.json: raw uint8 (B, H, W, C) in, probabilities (B, K) out.

    Raises ConvzooError, and leaves no model.onnx, where the file does not do what the weights do.
    """
    described = read_json(Path("models", network, "architecture.json"))
    about = {"backbone": described["architecture"], "method": described["method"], "weights": described["weights"]}
    body = build(described["architecture"], described["arguments"])
    export_probabilities(network, described, body, settings, about)
