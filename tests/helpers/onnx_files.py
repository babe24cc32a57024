"""Small ONNX files for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from convzoo.shipping.model import METADATA


def describe(path: Path, **about: Any) -> None:
    """Make a file describe itself, as an exported one does."""
    model = onnx.load(path)
    helper.set_model_props(model, {METADATA: json.dumps(about, sort_keys=True)})
    onnx.save(model, path)


def save_linear_classifier(path: Path, weights: np.ndarray, shape: tuple[int, int, int]) -> None:
    """A file that takes uint8 NHWC images of `shape` and answers with softmax(pixels @ weights)."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    save_graph(
        path,
        nodes,
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", weights.shape[1]])],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )


def save_graph(path: Path, nodes: list, inputs: list, outputs: list, constants: list) -> None:
    """An ONNX file of these parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(nodes, "test", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def save_linear(
    path: Path,
    weights: np.ndarray,
    inputs: tuple,
    outputs: tuple,
    offset: np.ndarray | float = 0.0,
    names: tuple[str, str] = ("inputs", "outputs"),
) -> None:
    """A file that flattens its inputs and returns inputs @ weights + offset, as float32, or uint8 rounded and clipped.

    `inputs` and `outputs` are each a dtype and the shape of one row.
    """
    kinds = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
    nodes = [
        helper.make_node("Cast", [names[0]], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["products"]),
        helper.make_node("Add", ["products", "offset"], ["sums"]),
        helper.make_node("Reshape", ["sums", "shape"], ["shaped"]),
    ]
    if outputs[0] == "uint8":
        nodes += [
            helper.make_node("Round", ["shaped"], ["whole"]),
            helper.make_node("Clip", ["whole", "zero", "most"], ["clipped"]),
        ]
    nodes.append(helper.make_node("Cast", [nodes[-1].output[0]], [names[1]], to=kinds[outputs[0]]))
    constants = {"weights": weights.astype(np.float32), "shape": np.array([-1, *outputs[1]])}
    constants |= {"offset": np.asarray(offset, np.float32), "zero": np.float32(0), "most": np.float32(255)}
    save_graph(
        path,
        nodes,
        [helper.make_tensor_value_info(names[0], kinds[inputs[0]], ["N", *inputs[1]])],
        [helper.make_tensor_value_info(names[1], kinds[outputs[0]], ["N", *outputs[1]])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
