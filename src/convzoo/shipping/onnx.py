"""Writes a torch module as an ONNX file, which has the same bytes for the same weights on every machine."""

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from convzoo.files import new_file
from convzoo.shipping.model import METADATA

OPSET = 20
ANY_SIZE = ("N", "H", "W")  # axes of images (N, H, W, C) that may be of any size


def write_onnx(
    module: nn.Module,
    example: Tensor,
    input_name: str,
    output_name: str,
    path: Path,
    described: dict[str, Any] | None = None,
    axes: tuple[str, ...] = ("batch",),
) -> None:
    """Export `module` in evaluation mode to `path`.

    `example` fixes dtype and shape of the input, except for its first axes, those named in `axes`: they may be of any
    length. `described` (JSON values) becomes the file's metadata. What the exporter records about this machine (source
    paths, stack traces) is removed.
    """
    exported = io.BytesIO()
    with evaluation_mode(module), warnings.catch_warnings():
        # The TorchScript exporter, which torch calls legacy, takes half a second; the dynamo exporter takes seven.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)  # a flip is not folded, which is harmless
        warnings.filterwarnings(
            "ignore", "It is recommended that constant folding", UserWarning
        )  # for modules in training
        torch.onnx.export(
            module,
            (example,),
            exported,
            dynamo=False,
            # The module is in evaluation mode already. With EVAL the exporter would fold norms into convolutions by
            # torch.sqrt, whose last bits depend on the processor; ONNX Runtime folds them when it loads the file.
            training=torch.onnx.TrainingMode.PRESERVE,
            opset_version=OPSET,
            input_names=[input_name],
            output_names=[output_name],
            dynamic_axes={input_name: dict(enumerate(axes)), output_name: {0: axes[0]}},
        )
    model = onnx.load_model_from_string(exported.getvalue())
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    if described is not None:
        onnx.helper.set_model_props(model, {METADATA: json.dumps(described, sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    with new_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Switch `module` to evaluation mode; at the end each of its parts has the mode that it had before."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
