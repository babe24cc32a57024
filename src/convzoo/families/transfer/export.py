"""Export of a transfer network, and of its head on the untouched backbone for comparison."""

from pathlib import Path

from convzoo.families.probabilities.export import export_probabilities
from convzoo.families.probabilities.network import PixelClassifier
from convzoo.families.transfer.network import build
from convzoo.families.transfer.settings import ExportSettings
from convzoo.files import read_json
from convzoo.shipping.export import load_trained
from convzoo.weights.backbones import PixelFeatures, published


def export(network: str, settings: ExportSettings) -> None:
    """Write models/NETWORK/model.onnx and export.json: raw uint8 (B, H, W, C) in, probabilities (B, K) out.

    If the backbone was fine-tuned, parts/features_head.onnx is the head of phase 1 on the backbone as published; its
    only view is the image itself, whatever `views` is. parts/features.onnx gives the features of the backbone, and
    parts/reference.npz has the measurements of val. Raises ConvzooError, and writes nothing, if a file's outputs
    differ from those of the weights or the published weights are missing.
    """
    described = read_json(Path("models", network, "architecture.json"))
    extras = {"backbone": described["architecture"], "method": described["method"], "weights": described["weights"]}
    parts = {}
    if described["method"] == "finetune":
        untouched = build(described["architecture"], described["arguments"])
        weights = described["weights"]
        _, tensors, _ = published(Path("data/weights", weights["name"]), weights["tensors_sha256"])
        untouched.backbone.load_state_dict(tensors)
        load_trained(untouched.head, network, described, "features_head.safetensors")
        parts["features_head.onnx"] = PixelClassifier(untouched, described["mean"], described["std"], "identity")
    model = build(described["architecture"], described["arguments"])
    features = PixelFeatures(model.backbone, described["mean"], described["std"], model.side)
    export_probabilities(network, described, model, settings, features, parts, **extras)
