"""Networks trained on ImageNet, without their classifier: backbones for transfer, and feature networks."""

import math
from itertools import takewhile
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from safetensors.torch import load_file
from torch import Tensor, nn

from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of

# The variants of EfficientNet-Lite: factors of the channels and of the repeats of Lite0's stages, from
# https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
LITES = {"efficientnet-lite0": (1.0, 1.0), "efficientnet-lite1": (1.0, 1.1), "efficientnet-lite2": (1.1, 1.2)}
# Mean and standard deviation with which pixels are normalised, on a scale of 0 to 1: (pixel - 127) / 128 for
# EfficientNet-Lite, those of ImageNet's pixels for torchvision's backbones.
SCALES = dict.fromkeys(LITES, ([127 / 255] * 3, [128 / 255] * 3)) | {"efficientnet_v2_l": ([0.5] * 3, [0.5] * 3)}
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
IMAGENET_CLASSES = 1000

# Kernel, stride, expansion, channels and repeats of each stage of EfficientNet-Lite0.
STAGES = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4)]
STAGES += [(3, 1, 6, 320, 1)]


class Conv(nn.Conv2d):
    """A convolution with TensorFlow's padding for even sides: with stride 2, one more row and column at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups, bias=False)
        self.pads = ((kernel - 2) // 2, (kernel - 1) // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pads) if self.stride[0] == 2 else x)


class Separable(nn.Module):
    """A depthwise separable convolution: one filter per channel, then 1x1 across channels."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = Conv(inputs, inputs, kernel, groups=inputs)
        self.bn1 = nn.BatchNorm2d(inputs, eps=1e-3)
        self.conv_pw = Conv(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn1(self.conv_dw(x)))
        return self.bn2(self.conv_pw(x))


class InvertedResidual(nn.Module):
    """1x1 to more channels, a depthwise convolution, 1x1 to few channels; plus the input if the shapes are equal."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.skips = stride == 1 and inputs == outputs
        self.conv_pw = Conv(inputs, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner, eps=1e-3)
        self.conv_dw = Conv(inner, inner, kernel, stride, groups=inner)
        self.bn2 = nn.BatchNorm2d(inner, eps=1e-3)
        self.conv_pwl = Conv(inner, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu6(self.bn1(self.conv_pw(x)))
        inner = F.relu6(self.bn2(self.conv_dw(inner)))
        outputs = self.bn3(self.conv_pwl(inner))
        return x + outputs if self.skips else outputs


class EfficientNetLite(nn.Module):
    """ImageNet logits (B, 1000) for floats (B, 3, side, side), `side` a multiple of 32.

    EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation and with ReLU6; its
    tensors have the names and the order of timm's tf_efficientnet_lite0. `width` and `depth` multiply channels (to the
    nearest multiple of 8) and repeats (rounded up), except those of the stem, the head, and the first and last stage.
    """

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        self.conv_stem = Conv(3, 32, 3, stride=2)  # 224x224 -> 112x112
        self.bn1 = nn.BatchNorm2d(32, eps=1e-3)
        stages, inputs = [], 32
        for kernel, stride, expansion, channels, repeats in STAGES:  # 112 -> 112 -> 56 -> 28 -> 14 -> 14 -> 7 -> 7
            outputs = int(channels * width + 4) // 8 * 8
            stage: list[nn.Module] = []
            for number in range(math.ceil(repeats * depth) if repeats > 1 else 1):
                if expansion == 1:
                    stage.append(Separable(inputs, outputs, kernel))
                else:
                    stage.append(InvertedResidual(inputs, outputs, kernel, 1 if number else stride, expansion))
                inputs = outputs
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = Conv(inputs, 1280, 1)
        self.bn2 = nn.BatchNorm2d(1280, eps=1e-3)
        self.classifier: nn.Module = nn.Linear(1280, IMAGENET_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn1(self.conv_stem(x)))
        x = F.relu6(self.bn2(self.conv_head(self.blocks(x))))
        return self.classifier(x.mean((2, 3)))


def whole(backbone: str) -> nn.Module:
    """The ImageNet network of this name, classifier included, with random weights from the global seed.

    `backbone` is `efficientnet-lite0`, 1 or 2, or one of torchvision's classification models; raises ValueError for any
    other name.
    """
    if backbone in LITES:
        return EfficientNetLite(*LITES[backbone])
    from torchvision import models  # a slow import

    known = models.list_models(module=models)
    if backbone not in known:
        lites = ", ".join(LITES)
        raise ValueError(f"backbone: got {backbone!r}, expected {lites} or one of torchvision's: {', '.join(known)}")
    return models.get_model(backbone)


def cut(network: nn.Module) -> nn.Module:
    """`network` without its classifier: it returns features (B, D), averaged over height and width if it has feature
    maps. Layers of the classifier before its first dropout or layer with weights (norms) stay.
    """
    [name] = [name for name in ("fc", "classifier", "head", "heads") if hasattr(network, name)]
    head = getattr(network, name)
    layers = head if isinstance(head, nn.Sequential) else []
    kept = list(takewhile(lambda layer: not isinstance(layer, nn.Linear | nn.Conv2d | nn.Dropout), layers))
    if any(isinstance(layer, nn.Conv2d) for layer in head.modules()):
        kept = [nn.AdaptiveAvgPool2d(1)]  # SqueezeNet averages after its classifier
    setattr(network, name, nn.Sequential(*kept) if kept else nn.Identity())
    if isinstance(getattr(network, "avgpool", None), nn.AdaptiveAvgPool2d):
        network.avgpool = nn.AdaptiveAvgPool2d(1)  # VGG and AlexNet pool to 7x7 and 6x6 for their dense layers
    for auxiliary in ("aux1", "aux2", "AuxLogits"):  # Inception's second and third classifier
        if hasattr(network, auxiliary):
            setattr(network, auxiliary, None)
            network.aux_logits = False
            network.transform_input = True  # its published weights expect pixels from -1 to 1
    return network


def scale(backbone: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation (3 each, on a scale of 0 to 1) that the pixels of `backbone` are normalised with."""
    return SCALES.get(backbone, IMAGENET)


def resized(x: Tensor, side: int) -> Tensor:
    """Floats (B, C, H, W) as (B, C, side, side), bilinear: uses every pixel if `side` is at least half of H and W."""
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


class PixelFeatures(nn.Module):
    """A feature network: uint8 (B, H, W, 3) of any size in, features (B, D) out."""

    def __init__(self, backbone: nn.Module, mean: list[float], std: list[float], side: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.side = side
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(resized(to_floats(images, self.mean, self.std), self.side))


@torch.no_grad()
def features(backbone: nn.Module, side: int) -> int:
    """The number of features of `backbone` for floats (B, 3, side, side). Raises ValueError if they do not fit."""
    training = backbone.training
    try:
        return backbone.eval()(torch.zeros(1, 3, side, side)).shape[1]
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(f"side: the backbone takes no pictures of {side}x{side} ({error})") from error
    finally:
        backbone.train(training)


def published(folder: Path, trained_from: str | None = None) -> tuple[str, dict[str, Tensor], dict]:
    """The backbone's name, its tensors and weights.json, from a folder of the stage `weights`.

    Raises ConvzooError if the weights are missing or differ from weights.json, so that a network never starts from
    random weights by mistake, and if their sha256 is not `trained_from`, that of the weights a network started from.
    """
    meta = read_json(folder / "weights.json") if (folder / "weights.json").is_file() else {}
    file, name = folder / "weights.safetensors", folder.name
    if file.name not in meta.get("files", []):
        state = f"weights.{name} is of the kind {meta['kind']}" if meta else f"there is no {folder}/weights.json"
        raise ConvzooError(
            f"{folder}: has no weights to start from ({state}); expected {file.name} with ImageNet's weights, made by "
            f"`convzoo repro weights@{name}` from a block weights.{name} of the kind package, torchvision or file; "
            "efficientnet-lite0 needs no download, and the profile full has resnet50"
        )
    if not file.is_file() or sha256_of(file) != meta["files"][file.name]:
        raise ConvzooError(f"{file}: is not what weights.json says; run: convzoo repro -f weights@{name}")
    if trained_from not in (None, meta["files"][file.name]):
        raise ConvzooError(
            f"{file}: has the sha256 {meta['files'][file.name]}, expected {trained_from}, from which the network was "
            "trained; run: convzoo repro"
        )
    return meta["backbone"], load_file(file), meta
