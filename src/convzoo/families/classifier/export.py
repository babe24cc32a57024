"""Export of a classifier."""

from pathlib import Path

from convzoo.families.classifier.features import PixelFeatures
from convzoo.families.classifier.network import build
from convzoo.families.classifier.settings import ExportSettings
from convzoo.families.probabilities.export import export_probabilities
from convzoo.files import read_json


def export(network: str, settings: ExportSettings) -> None:
    """Write models/NETWORK/model.onnx and export.json: raw uint8 (B, H, W, C) in, probabilities (B, K) out.

    parts/features.onnx gives what the last layer gets, and parts/reference.npz has the measurements of val. Raises
    ConvzooError, and writes nothing, if a file's outputs differ from those of the weights.
    """
    described = read_json(Path("models", network, "architecture.json"))
    model = build(described["architecture"], described["arguments"])
    features = PixelFeatures(model, described["mean"], described["std"])
    export_probabilities(network, described, model, settings, features)
