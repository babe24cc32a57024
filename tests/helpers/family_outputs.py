"""What the stages leave of each family, made small: data, figures, answers and exported files."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from helpers.onnx_files import save_graph

SOURCE = {
    "name": "shapes-published",
    "kind": "archive",
    "licence": "CC BY 4.0",
    "homepage": "https://shapes.example.org/about",
}
COUNTS = {"read": 1300, "train": 1000, "val": 100, "test": 200, "duplicates_dropped": 7, "label_conflicts_dropped": 0}
ANSWERS = """id,actual,probability,predicted
all-1,bar,0.97,cross
all-2,bar,0.55,cross
all-3,bar,0.9,bar
all-4,cross,0.99,cross
all-5,square,0.8,bar
"""
CLASSES = {
    "bar": {"recall": 0.3333, "precision": 0.5, "f1": 0.4, "images": 3},
    "cross": {"recall": 1.0, "precision": 0.3333, "f1": 0.5, "images": 1},
    "square": {"recall": 0.0, "precision": 0.0, "f1": 0.0, "images": 1},
}
PROBABILITIES = {
    "test_accuracy": 0.4,
    "test_accuracy_low": 0.1176,
    "test_accuracy_high": 0.7693,
    "test_calibration_error": 0.125,
    "test_images": 5,
    "classes": CLASSES,
}
COMPARISONS = {
    "generated against test": {"recall": 0.0, "precision": 0.191, "kid": 12.58, "frechet_distance_is": "mostly bias"},
    "test against train": {"recall": 0.791, "precision": 0.867, "kid": -0.02},
}
MEASURED = {
    "classifier": PROBABILITIES,
    "transfer": PROBABILITIES | {"test_features_accuracy": 0.45, "test_gain": -0.05, "test_gain_p_value": 0.25},
    "autoencoder": {
        "test_psnr": 23.129,
        "test_psnr_low": 21.5,
        "test_psnr_high": 24.75,
        "test_pca_psnr": 23.06,
        "latent": 64,
        "test_image_psnr": 22.5,
        "test_ssim": 0.8419,
        "test_images": 4,
        "test_probe_accuracy": 0.5,
        "compared": {"pca": {"numbers": 64, "ssim": 0.838, "psnr": 23.06}},
        "classes": {
            "bar": {"psnr": 25.0, "images": 3},
            "cross": {"psnr": 19.5, "images": 1},
            "square": {"psnr": 21.0, "images": 1},
        },
    },
    "dcgan": {
        "test_kid": 12.58,
        "test_kid_spread": 0.49,
        "test_kid_low": 11.9,
        "test_kid_high": 13.2,
        "test_recall": 0.0,
        "kept_epoch": 3,
        "comparisons": COMPARISONS,
    },
}


def save_pixelwise(path: Path, name: str, kind: int, shape: list) -> None:
    """A file that gives its input again, times three, as uint8."""
    nodes = [
        helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "three"], ["more"]),
        helper.make_node("Abs", ["more"], ["positive"]),
        helper.make_node("Clip", ["positive", "", "most"], ["bounded"]),
        helper.make_node("Cast", ["bounded"], ["again"], to=TensorProto.UINT8),
    ]
    given = [helper.make_tensor_value_info(name, kind, shape)]
    made = [helper.make_tensor_value_info("again", TensorProto.UINT8, shape)]
    numbers = {"three": 3, "most": 255}
    save_graph(path, nodes, given, made, [numpy_helper.from_array(np.float32(n), key) for key, n in numbers.items()])
