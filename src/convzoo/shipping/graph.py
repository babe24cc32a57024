"""Reads ONNX files without running them."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def load_graph(file: Path) -> onnx.ModelProto:
    """The contents of an ONNX file."""
    return onnx.load(file)


def tensors_of(file: Path) -> dict[str, np.ndarray]:
    """The weights in an ONNX file, by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in load_graph(file).graph.initializer}
