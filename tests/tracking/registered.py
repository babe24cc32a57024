"""A model and an identity as the stages write them, made small."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 3
SIDE = 4


def write_model(file: Path, seed: int) -> None:
    """A real classifier of uint8 (B, 4, 4, 1): a linear layer and softmax."""
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, CLASSES)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "most"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.float32(255), "most")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)


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
