"""Reads ONNX files without running them, and adds class names to what a file returns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LABEL, PROBABILITY = "label", "probability"  # of the most probable class


def load_graph(file: Path) -> onnx.ModelProto:
    """The contents of an ONNX file."""
    return onnx.load(file)


def tensors_of(file: Path) -> dict[str, np.ndarray]:
    """The weights in an ONNX file, by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in load_graph(file).graph.initializer}


def with_labels(model: onnx.ModelProto, classes: Sequence[str]) -> onnx.ModelProto:
    """A copy of a classifier that also returns the `label` (N,) and the `probability` (N,) of the most probable class.

    Its own output, probabilities (N, K), comes last and does not change.
    """
    labelled = onnx.ModelProto()
    labelled.CopyFrom(model)
    graph = labelled.graph
    [probabilities] = model.graph.output
    names = helper.make_tensor(
        "convzoo_classes", TensorProto.STRING, [len(classes)], [name.encode() for name in classes]
    )
    axis = numpy_helper.from_array(np.array([1], np.int64), "convzoo_axis")
    graph.initializer.extend([names, axis])
    graph.node.extend(
        [
            helper.make_node("ArgMax", [probabilities.name], ["convzoo_best"], axis=1, keepdims=0),
            helper.make_node("Gather", [names.name, "convzoo_best"], [LABEL]),
            helper.make_node("ReduceMax", [probabilities.name, axis.name], [PROBABILITY], keepdims=0),
        ]
    )
    length = probabilities.type.tensor_type.shape.dim[0].dim_param or "batch"
    del graph.output[:]
    graph.output.extend(
        [
            helper.make_tensor_value_info(LABEL, TensorProto.STRING, [length]),
            helper.make_tensor_value_info(PROBABILITY, TensorProto.FLOAT, [length]),
            probabilities,
        ]
    )
    return labelled
