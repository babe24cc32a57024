"""The stages, blocks, shapes and weights of a backbone, as a table."""

import contextlib
import warnings

import torch
from torch import nn

from convzoo.errors import ConvzooError, did_you_mean
from convzoo.families.transfer.network import blocks as tuned_blocks
from convzoo.project import find_project
from convzoo.settings.load import read_params
from convzoo.settings.weights import weights_settings
from convzoo.settings.whole import check_all
from convzoo.text import in_columns
from convzoo.weights.backbones import cut, whole

SIDE = 224  # pixels; what most backbones were trained on
SHOWN = 5  # layers of a block, at most


def structure(name: str) -> str:
    """A table of the backbone of a network in params.yaml, or of a backbone by its own name.

    A line per block (the unit of fine-tuning), from the input up; consecutive blocks whose outputs have the same height
    and width are a stage. Raises ConvzooError if the name is neither or the network has no backbone, and SettingsError.
    """
    backbone, side, networks = name, SIDE, {}
    if project := find_project():
        with contextlib.chdir(project):
            params = read_params()
            check_all(params)
        networks = params.values["networks"]
    if name in networks:
        family, weights = networks[name]["family"], networks[name]["weights"]
        if family != "transfer":
            others = ", ".join(key for key, block in networks.items() if block["family"] == "transfer") or "none here"
            raise ConvzooError(
                f"network '{name}': has no backbone (family: {family}), expected a network of the family transfer "
                f"({others}); choose one, or name a backbone, such as resnet50"
            )
        backbone, side = getattr(weights_settings(params, weights), "backbone", None), networks[name]["side"]
        if backbone is None:
            raise ConvzooError(f"network '{name}': weights.{weights} has no backbone, expected one; name it instead")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # about GoogLeNet's initial weights, which do not matter here
            network = cut(whole(backbone)).eval()
    except ValueError as error:
        from torchvision.models import list_models

        meant = did_you_mean(name, [*networks, *list_models()]).strip()
        raise ConvzooError(f"{name}: is no network and no backbone, {meant}" if meant else str(error)) from None
    return _table(backbone, network, side)


def _table(title: str, backbone: nn.Module, side: int) -> str:
    names = {module: name for name, module in backbone.named_modules()}
    blocks = tuned_blocks(backbone)
    shapes: dict[nn.Module, torch.Size] = {}
    for block in blocks:
        block[-1].register_forward_hook(lambda module, _, output: shapes.update({module: output.shape[1:]}))
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, side, side)).shape[1]

    rows, stage, size = [], 0, None
    for number, block in enumerate(blocks, 1):
        shape = shapes[block[-1]]
        if shape[1:] != size:
            stage, size = stage + 1, shape[1:]
            rows.append((f"stage {stage}", "", "", "", ""))
        layers = [layer for module in block for layer in _layers(module)]
        if len(layers) > SHOWN:
            layers[SHOWN:] = [f"... {len(layers)} in all"]
        rows.append(
            (
                f"  {number:>2} {' + '.join(names[module] for module in block)}",
                _kind(block[0]),
                ", ".join(layers),
                "x".join(map(str, shape)),
                f"{sum(map(_weights, block)):,}",
            )
        )
    head = f"{title}: {stage} stages, {len(blocks)} blocks, {_weights(backbone):,} weights without the classifier"
    return f"{head}; an image of {side}x{side} becomes {features} features\n\n{in_columns(rows)}"


def _weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _kind(block: nn.Module) -> str:
    """The skip connection around a block: of the input (identity block), through a convolution, or none."""
    if hasattr(block, "downsample") and hasattr(block, "conv1"):  # torchvision's ResNets
        return "identity block, + input" if block.downsample is None else "convolution block, + 1x1 of the input"
    last = block[-1] if isinstance(block, nn.Sequential) and len(block) else block
    for skips in ("skips", "use_res_connect"):  # EfficientNet-Lite0's blocks and torchvision's inverted residuals
        if hasattr(last, skips):
            count = sum(getattr(part, skips, False) for part in block.modules())
            return f"inverted residuals, {count} + input" if count else "inverted residual"
    return ""


def _layers(module: nn.Module) -> list[str]:
    """The convolutions and dense layers in order, as in `3x3 64->128 /2` (stride 2); those of a skip in brackets."""
    layers = []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            stride = f" /{layer.stride[0]}" if layer.stride[0] > 1 else ""
            depthwise = " each" if layer.groups == layer.in_channels > 1 else ""
            size = "x".join(map(str, layer.kernel_size))
            text = f"{size}{depthwise} {layer.in_channels}->{layer.out_channels}{stride}"
            layers.append(f"({text})" if "downsample" in name else text)
        elif isinstance(layer, nn.Linear):
            layers.append(f"dense {layer.in_features}->{layer.out_features}")
    return layers
