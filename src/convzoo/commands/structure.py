"""The structure of a backbone as text: its stages, blocks and skip connections, with shapes and weights."""

import warnings
from pathlib import Path

import torch
from torch import nn

from convzoo.errors import ConvzooError
from convzoo.families.transfer.network import blocks
from convzoo.settings.load import read_params
from convzoo.settings.weights import weights_settings
from convzoo.settings.whole import check_all
from convzoo.weights.backbones import cut, whole

SIDE = 224  # pixels; what most backbones were trained on
SHOWN = 5  # layers of a block


def structure(name: str) -> str:
    """A table of the backbone of a network in params.yaml, or of one given by its own name.

    A line for each block (what is tuned together), from the pixels up; blocks whose output has the same height and
    width are a stage. Raises ConvzooError for a name that is neither, and SettingsError.
    """
    networks = {}
    if Path("params.yaml").is_file():
        params = read_params()
        check_all(params)
        networks = params.values["networks"]
    backbone, side = name, SIDE
    if name in networks:
        if networks[name].get("family") != "transfer":
            family = networks[name].get("family")
            raise ConvzooError(f"network '{name}': is of the family {family}; expected one that has a backbone")
        settings = weights_settings(params, networks[name]["weights"])
        backbone, side = getattr(settings, "backbone", None), networks[name]["side"]
        if backbone is None:
            raise ConvzooError(f"network '{name}': weights.{networks[name]['weights']} names no backbone")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of how GoogLeNet starts: nothing is trained here
            network = cut(whole(backbone)).eval()
    except ValueError as error:
        known = f"; networks: {', '.join(networks)}" if networks else ""
        raise ConvzooError(f"{error}{known}") from None
    return _table(backbone, network, side)


def _table(title: str, backbone: nn.Module, side: int) -> str:
    names = {module: name for name, module in backbone.named_modules()}
    found = blocks(backbone)
    shapes: dict[nn.Module, tuple[int, ...]] = {}
    handles = [
        block[-1].register_forward_hook(lambda module, _, out: shapes.update({module: tuple(out.shape[1:])}))
        for block in found
    ]
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, side, side)).shape[1]
    for handle in handles:
        handle.remove()

    rows, stage, place = [], 0, None
    for number, block in enumerate(found, 1):
        shape = shapes[block[-1]]
        if shape[1:] != place:
            stage, place = stage + 1, shape[1:]
            rows.append((f"stage {stage}", "", "", "", ""))
        weights = sum(weight.numel() for module in block for weight in module.parameters())
        layers = [text for module in block for text in _layers(module)]
        more = [f"... {len(layers)} in all"] if len(layers) > SHOWN else []
        label = " + ".join(names[module] for module in block)
        rows.append(
            (
                f"  {number:>2} {label}",
                _kind(block[0]),
                ", ".join(layers[:SHOWN] + more),
                "x".join(map(str, shape)),
                f"{weights:,}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    total = sum(weight.numel() for weight in backbone.parameters())
    head = f"{title}: {stage} stages, {len(found)} blocks, {total:,} weights without the classifier"
    return "\n".join([f"{head}; a picture of {side}x{side} becomes {features} features", "", *lines])


def _kind(block: nn.Module) -> str:
    """What goes around a block: its input (identity block), its input through a convolution, or nothing."""
    if hasattr(block, "downsample") and hasattr(block, "conv1"):  # torchvision's ResNets
        return "identity block, + input" if block.downsample is None else "convolution block, + 1x1 of the input"
    last = block[-1] if isinstance(block, nn.Sequential) and len(block) else block
    for skips in ("skips", "use_res_connect"):  # EfficientNet-Lite0's blocks and torchvision's inverted residuals
        if hasattr(last, skips):
            count = sum(getattr(part, skips, False) for part in block.modules())
            return f"inverted residuals, {count} + input" if count else "inverted residual"
    return ""


def _layers(module: nn.Module) -> list[str]:
    """The convolutions and dense layers in their order, as `3x3 64->128 /2` (stride 2), those of a skip in brackets."""
    found = []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            stride = f" /{layer.stride[0]}" if layer.stride[0] > 1 else ""
            each = " each" if layer.groups == layer.in_channels > 1 else ""
            size = "x".join(map(str, layer.kernel_size))
            text = f"{size}{each} {layer.in_channels}->{layer.out_channels}{stride}"
            found.append(f"({text})" if "downsample" in name else text)
        elif isinstance(layer, nn.Linear):
            found.append(f"dense {layer.in_features}->{layer.out_features}")
    return found
