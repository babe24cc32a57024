"""Converts published weights to safetensors with our tensor names, and to feature networks in ONNX."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from convzoo.errors import ConvzooError, first_line
from convzoo.shipping.onnx import ANY_SIZE, write_onnx
from convzoo.weights import backbones

EXPECTED = "expected a state dict as .safetensors or .pth; download the file again, or name another one"
COUNTED = "num_batches_tracked"  # of BatchNorm; older files lack it


def convert(name: str, file: Path, backbone: str, target: Path) -> None:
    """Write the tensors in `file` of the backbone without its classifier to `target`, under the backbone's names.

    `file` is .safetensors, or .pth (read with weights_only); `name` is the name of its block in messages.

    Tensors are matched by name, or by order and shape if the names differ. Raises ConvzooError for a file that cannot
    be read, or whose tensors are not those of this backbone.
    """
    try:
        network = backbones.whole(backbone)
    except ValueError as error:
        raise ConvzooError(f"{name}.{error}") from error
    whole = network.state_dict()
    wanted = backbones.cut(network).state_dict()
    published = _read(name, file)
    if not {key for key in wanted if not key.endswith(COUNTED)} <= published.keys():
        if [value.shape for value in published.values()] != [value.shape for value in whole.values()]:
            missing = next((key for key in wanted if key not in published), "none")
            raise ConvzooError(
                f"{name}: {file.name} has {len(published)} tensors, which are not those of {backbone} ({len(whole)}; "
                f"it has no {missing}); name the backbone that they belong to, or another file"
            )
        published = dict(zip(whole, published.values(), strict=True))
    tensors = {key: published.get(key, torch.zeros_like(value)).to(value.dtype) for key, value in wanted.items()}
    for key, value in wanted.items():
        if tensors[key].shape != value.shape:
            shapes = f"{key} is {tuple(tensors[key].shape)}, expected {tuple(value.shape)}"
            raise ConvzooError(f"{name}: {file.name} is not of {backbone}: {shapes}; name its backbone")
        if not tensors[key].isfinite().all():
            raise ConvzooError(
                f"{name}: {file.name}: {key} has values that are not finite, expected numbers; download the file again"
            )
    save_file({key: value.contiguous() for key, value in tensors.items()}, target)


def write_features(weights: Path, backbone: str, side: int, target: Path) -> None:
    """Write a feature network: `images` uint8 (N, H, W, 3) of any size, which it resizes to `side`, to `features`
    float32 (N, D).
    """
    network = backbones.cut(backbones.whole(backbone))
    network.load_state_dict(load_file(weights))
    module = backbones.PixelFeatures(network, *backbones.scale(backbone), side)
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    write_onnx(module, example, "images", "features", target, axes=ANY_SIZE)


def _read(name: str, file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise ConvzooError(
            f"{name}: {file.name} cannot be read as weights ({first_line(error)}), {EXPECTED}"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ConvzooError(f"{name}: {file.name} contains other things than tensors by name, {EXPECTED}")
    return tensors
