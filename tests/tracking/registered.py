"""A model and an identity as the stages write them, made small."""

from pathlib import Path

import numpy as np
from onnx_files import save_linear_classifier

CLASSES = 3
SIDE = 4


def write_model(file: Path, seed: int) -> None:
    """A real classifier of uint8 (B, 4, 4, 1): a linear layer and softmax."""
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, CLASSES))
    save_linear_classifier(file, weights / 255, (SIDE, SIDE, 1))


def identity_of(seed: int) -> dict:
    """What fingerprint.json says of the training with this seed."""
    params = {"family": "classifier", "architecture": "fast", "optimizer": "sgd", "learning_rate": 0.1, "seed": seed}
    blocks = {"fast": {"widths": [4, 8], "dirac": True}, "reference": {"dense": 100}}
    return {
        "fingerprint": f"{seed:064x}",
        "params": params | blocks,
        "compute": {"device": "cpu", "precision": "fp32", "threads": 2},
        "data": {"name": "shapes", "train": "a" * 64, "val": "b" * 64, "augmented": "c" * 64},
        "code": {},
        "versions": {},
    }
