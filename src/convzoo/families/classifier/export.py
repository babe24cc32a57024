"""The stage `export` of a classifier."""

from pathlib import Path

from convzoo.families.classifier.network import build
from convzoo.families.classifier.settings import ExportSettings
from convzoo.families.probabilities.export import export_probabilities
from convzoo.files import read_json


def export(network: str, settings: ExportSettings) -> None:
    """Write models/NETWORK/model.onnx and export.json: raw uint8 (B, H, W, C) in, probabilities (B, K) out.

    Raises ConvzooError, and writes nothing, if the file does not agree with the weights.
    """
    described = read_json(Path("models", network, "architecture.json"))
    body = build(described["architecture"], described["arguments"])
    export_probabilities(network, described, body, settings)
