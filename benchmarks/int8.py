"""The exported file of a classifier in int8, as a second file that is kept only if it is as accurate.

onnxruntime's static quantisation: ranges of activations from train images, the decision on val, and the result on test.
"""

import statistics
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from benchmarks.inference import BATCHES, alternated, inputs
from convzoo.data.arrays import evenly_spaced, load_split
from convzoo.files import new_file, read_json
from convzoo.shipping.export import MODEL
from convzoo.shipping.model import Model, run_in_batches

ALLOWED_LOSS = 0.002  # of accuracy, a share of the val images
CALIBRATION = 256  # train images
BATCH = 64
LAYERS = ["Conv", "Gemm", "MatMul"]


class _Images(CalibrationDataReader):
    """Batches of images for onnxruntime's calibration."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self.batches = iter([{name: images[start : start + BATCH]} for start in range(0, len(images), BATCH)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch, or None at the end."""
        return next(self.batches, None)


def quantised(source: Path, target: Path, images: np.ndarray) -> Model:
    """Write the ONNX file `source` to `target` with weights and activations in int8; `images` set the ranges.

    Weights use 7 bits: without VNNI, processors add pairs of products in 16 bits, which 8 bits would overflow.
    """
    with new_file(target) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_static(
            equalised(onnx.load(source)),
            temporary,
            _Images(Model(source).input.name, images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=LAYERS,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return Model(target)


def equalised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function, with the scale of each BatchNormalization moved into the convolution before it.

    A MaxPool may stand between the two. The filters get the scale without its sign, so that the channels have similar
    ranges: in int8 all channels of a tensor share one scale.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    for norm in model.graph.node:
        conv = makers.get(norm.input[0]) if norm.op_type == "BatchNormalization" else None
        if conv is not None and conv.op_type == "MaxPool":
            conv = makers.get(conv.input[0])
        if conv is None or conv.op_type != "Conv":
            continue
        names = list(norm.input[1:])
        scale, _, mean, variance = (numpy_helper.to_array(tensors[name]).astype(np.float64) for name in names)
        epsilon = next((item.f for item in norm.attribute if item.name == "epsilon"), 1e-5)
        factor = np.abs(scale) / np.sqrt(variance + epsilon)
        changed = {names[0]: np.sign(scale) * np.sqrt(1 + epsilon), names[2]: mean * factor}
        changed[names[3]] = np.ones_like(variance)
        for name in conv.input[1:]:
            values = numpy_helper.to_array(tensors[name]).astype(np.float64)
            changed[name] = values * factor.reshape(-1, *[1] * (values.ndim - 1))
        for name, values in changed.items():
            tensors[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
    return model


def measure(network: str, folder: Path, repeats: int, seconds: float) -> dict[str, Any] | None:
    """Write `folder`/NETWORK.int8.onnx if it is as accurate on val, and compare it with the exported file.

    Returns None for a network without class probabilities. Raises ConvzooError if the exported file is missing.
    """
    models = Path("models", network)
    source = Model(models / MODEL)
    described = read_json(models / "architecture.json")
    if source.output.name != "probabilities":
        return None
    prepared = Path("data/prepared", described["dataset"])
    train = load_split(prepared / "train").images
    target = folder / f"{network}.int8.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    model = quantised(source.path, target, np.array(train[evenly_spaced(len(train), CALIBRATION)]))

    row: dict[str, Any] = {"network": network}
    for split in ("val", "test"):
        part = load_split(prepared / split)
        expected, found = (run_in_batches(file, part.images, BATCH).argmax(axis=1) for file in (source, model))
        row[f"{split}_float"] = float((expected == part.labels).mean())
        row[f"{split}_int8"] = float((found == part.labels).mean())
        row[f"{split}_agreement"] = float((expected == found).mean())
    row["bytes"] = {"float": source.path.stat().st_size, "int8": target.stat().st_size}
    row["kept"] = row["val_int8"] >= row["val_float"] - ALLOWED_LOSS
    for size in BATCHES:
        batch = inputs(described, size)
        turns = alternated({"float": partial(source, batch), "int8": partial(model, batch)}, repeats, seconds)
        ratios = [one / other for one, other in zip(turns["float"], turns["int8"], strict=True)]
        row[f"times_as_fast_{size}"] = statistics.median(ratios)
    if not row["kept"]:
        target.unlink()
    return row
