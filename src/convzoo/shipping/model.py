"""Runs an exported ONNX file on the CPU."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from tqdm import tqdm

from convzoo.errors import ConvzooError, first_line

# Fixed, since how a sum is cut between threads can change its last bits.
THREADS = 2
METADATA = "convzoo"  # the key under which a file describes itself, in JSON
ERRORS_ONLY = 3  # onnxruntime's own scale: 2 would print warnings

DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


class Tensor(NamedTuple):
    """What goes into a model or comes out of it."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]  # None: any size

    def __str__(self) -> str:
        """As in `uint8 (N, 28, 28, 1)`."""
        return f"{self.dtype} ({', '.join('N' if size is None else str(size) for size in self.shape)})"


class Model:
    """An ONNX file with one input and one output, ready to run.

    `input` and `output` say what goes in and comes out, `described` what the file says of itself (classes, data set).
    It computes with `threads`, the caller's among them. `portable` results have the same bits on all x86-64 processors
    with AVX2, in up to twice the time: without it, ONNX Runtime arranges channels in blocks as wide as the processor's
    registers, and sums them in that order. Raises ConvzooError for a file that is missing, broken, or of
    another form.
    """

    def __init__(self, path: Path, threads: int = THREADS, portable: bool = False) -> None:
        if not path.is_file():
            raise ConvzooError(f"{path}: there is no such file, expected an ONNX file; `convzoo repro` makes it")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        if portable:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for each way to fail, without a common one
            raise ConvzooError(
                f"{path}: is not an ONNX file that onnxruntime can run ({first_line(error)}), expected one; "
                "restore it: dvc checkout, or rebuild it: convzoo repro"
            ) from error
        self.path = path
        self.described = json.loads(self._session.get_modelmeta().custom_metadata_map.get(METADATA, "{}"))
        self.input = self._only("input", self._session.get_inputs())
        self.output = self._only("output", self._session.get_outputs())

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """What the model makes of a batch: an array of `output`'s dtype and shape, a row an image.

        Takes exactly what `input` says (for an image model raw pixels, uint8 NHWC, 0 to 255); nothing is converted.
        Raises ConvzooError for another dtype or shape, and for an empty batch.
        """
        fits = images.ndim == len(self.input.shape) and all(
            expected in (None, size) for expected, size in zip(self.input.shape, images.shape, strict=True)
        )
        if images.dtype != self.input.dtype or not fits:
            got = Tensor("", str(images.dtype), images.shape)
            hint = "raw pixels from 0 to 255, not scaled" if self.input.dtype == "uint8" else self.input.name
            raise ConvzooError(f"{self.path}: expected {self.input} ({hint}), got {got}")
        if not len(images):
            raise ConvzooError(f"{self.path}: expected at least one image, got none")
        return self._session.run([self.output.name], {self.input.name: np.ascontiguousarray(images)})[0]

    def _only(self, what: str, found: list) -> Tensor:
        if len(found) != 1:
            names = ", ".join(node.name for node in found) or "none"
            raise ConvzooError(f"{self.path}: expected one {what}, got {len(found)}: {names}")
        node = found[0]
        if node.type not in DTYPES:
            expected = ", ".join(DTYPES.values())
            raise ConvzooError(f"{self.path}: {what} {node.name}: got {node.type}, expected a tensor of {expected}")
        return Tensor(node.name, DTYPES[node.type], tuple(n if isinstance(n, int) else None for n in node.shape))


def run_in_batches(model: Model, images: np.ndarray, batch_size: int, progress: str | None = None) -> np.ndarray:
    """What the model makes of all images, in their order, `batch_size` at a time (the last batch may be shorter).

    `progress` names a bar that is shown on a terminal. Raises ConvzooError as the model does.
    """
    starts = range(0, max(len(images), 1), batch_size)
    # disable=None: on a terminal only
    bar = tqdm(starts, desc=progress, unit="batch", leave=False, disable=None if progress else True)
    return np.concatenate([model(images[start : start + batch_size]) for start in bar])
