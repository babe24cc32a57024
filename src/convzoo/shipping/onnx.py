"""Writes a torch module as one ONNX file with the same bytes for the same weights, and holds it against the weights."""

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from convzoo.errors import ConvzooError, first_line
from convzoo.files import new_file, sha256_of
from convzoo.shipping.model import METADATA, Model, run_in_batches

OPSET = 20
BATCH = 250


def load_trained(body: nn.Module, network: str, described: dict[str, Any]) -> None:
    """Load models/NETWORK/weights.safetensors into `body`; `described` is architecture.json.

    Raises ConvzooError for a file that is not the one that training wrote, by its sha256, and not this network's.
    """
    file = Path("models", network, "weights.safetensors")
    mend = f"bring it back: dvc checkout, or train it again: dvc repro -f train@{network}"
    found, expected = sha256_of(file), described["weights_sha256"]
    if found != expected:
        raise ConvzooError(
            f"{file}: has sha256 {found[:12]}, expected {expected[:12]} as architecture.json says; {mend}"
        )
    try:
        body.load_state_dict(load_file(file))
    except (RuntimeError, SafetensorError) as error:
        raise ConvzooError(
            f"{file}: is not of the network in architecture.json ({first_line(error)}), expected its weights; {mend}"
        ) from error


def tensors_of(file: Path) -> dict[str, np.ndarray]:
    """The weights in an ONNX file, by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(file).graph.initializer}


def write_onnx(
    module: nn.Module, example: Tensor, inputs: str, outputs: str, described: dict[str, Any], path: Path
) -> None:
    """Export `module` in evaluation mode, any batch size, to `path`; `example` (B, ...) gives the rest of the shape.

    The file carries `described` (JSON values) as metadata; what the exporter notes about this machine (source paths,
    stack traces) is taken out.
    """
    exported = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter through TorchScript, which torch calls the old one: half a second, where the one through dynamo
        # takes seven, and `parity` holds what it makes against the weights.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)  # a flipped view is not folded: no harm
        torch.onnx.export(
            module.eval(),
            (example,),
            exported,
            dynamo=False,
            opset_version=OPSET,
            input_names=[inputs],
            output_names=[outputs],
            dynamic_axes={inputs: {0: "batch"}, outputs: {0: "batch"}},
        )
    model = onnx.load_model_from_string(exported.getvalue())
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    onnx.helper.set_model_props(model, {METADATA: json.dumps(described, sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    with new_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@torch.no_grad()
def parity(network: str, module: nn.Module, path: Path, images: np.ndarray, tolerance: float) -> dict:
    """How far the file's probabilities are from those of `module` (fp32) on `images` (N, H, W, C).

    Raises ConvzooError where they differ by `tolerance` or more, or where an image gets another first class.
    """
    starts = range(0, len(images), BATCH)
    expected = np.concatenate([module.eval()(torch.from_numpy(images[i : i + BATCH])).numpy() for i in starts])
    got = run_in_batches(Model(path), images, BATCH)
    difference = float(np.abs(expected - got).max())
    same = int((expected.argmax(1) == got.argmax(1)).sum())
    if not difference < tolerance or same < len(images):
        raise ConvzooError(
            f"{network}: {path} does not do what the weights do: probabilities differ by {difference:.2g} "
            f"(expected below {tolerance:g}), the first class agrees on {same} of {len(images)} val images; "
            "the file was not exported"
        )
    return {"images": len(images), "max_abs_difference": float(f"{difference:.2g}"), "same_top1": same}
