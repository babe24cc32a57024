"""Transfer learning: a network trained on ImageNet without its classifier (the backbone), and a small head."""

import io
import warnings
from itertools import takewhile
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from safetensors.torch import load_file
from torch import Tensor, nn

from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of

LITE = "efficientnet-lite0"
# What a backbone was trained with, on a scale of 0 to 1: (pixel - 127) / 128 for EfficientNet-Lite0, the mean and
# standard deviation of ImageNet's pixels for those of torchvision.
SCALES = {LITE: ([127 / 255] * 3, [128 / 255] * 3), "efficientnet_v2_l": ([0.5] * 3, [0.5] * 3)}
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
IMAGENET_CLASSES = 1000
OPSET = 20

# Kernel, stride, expansion, channels and repeats of each stage of EfficientNet-Lite0.
STAGES = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4)]
STAGES += [(3, 1, 6, 320, 1)]


class Conv(nn.Conv2d):
    """A convolution that pads as TensorFlow does for even sides: with a stride of 2 the last row and column more."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups, bias=False)
        self.pads = ((kernel - 2) // 2, (kernel - 1) // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pads) if self.stride[0] == 2 else x)


class Separable(nn.Module):
    """A convolution of each channel by itself, and one of 1x1 that mixes them."""

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
    """1x1 to more channels, a convolution of each by itself, 1x1 to few again, around which the input is added."""

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
        found = self.bn3(self.conv_pwl(inner))
        return x + found if self.skips else found


class EfficientNetLite0(nn.Module):
    """ImageNet logits (B, 1000) for floats (B, 3, side, side), `side` a multiple of 32.

    EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation and with ReLU6; its
    tensors have the names and the order of timm's tf_efficientnet_lite0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = Conv(3, 32, 3, stride=2)  # 224x224 -> 112x112
        self.bn1 = nn.BatchNorm2d(32, eps=1e-3)
        stages, inputs = [], 32
        for kernel, stride, expansion, outputs, repeats in STAGES:  # 112 -> 112 -> 56 -> 28 -> 14 -> 14 -> 7 -> 7
            stage: list[nn.Module] = []
            for number in range(repeats):
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
    """The network of this name as it was trained on ImageNet, classifier included, with weights of the global seed.

    `efficientnet-lite0`, or one of torchvision's classification models. Raises ValueError for any other name.
    """
    if backbone == LITE:
        return EfficientNetLite0()
    from torchvision import models  # takes three seconds

    known = models.list_models(module=models)
    if backbone not in known:
        raise ValueError(f"backbone: got {backbone!r}, expected {LITE} or one of torchvision's: {', '.join(known)}")
    return models.get_model(backbone)


def cut(network: nn.Module) -> nn.Module:
    """`network` with its classifier taken off: it gives features (B, D), averaged over the picture where they still
    have places. What stands before the classifier's first layer with weights or dropout (norms) stays.
    """
    [name] = [name for name in ("fc", "classifier", "head", "heads") if hasattr(network, name)]
    head = getattr(network, name)
    learned = (nn.Linear, nn.Conv2d, nn.Dropout)
    kept = list(takewhile(lambda layer: not isinstance(layer, learned), head)) if _listed(head) else []
    if any(isinstance(layer, nn.Conv2d) for layer in head.modules()):
        kept = [nn.AdaptiveAvgPool2d(1)]  # SqueezeNet averages after its classifier
    setattr(network, name, nn.Sequential(*kept) if kept else nn.Identity())
    if isinstance(getattr(network, "avgpool", None), nn.AdaptiveAvgPool2d):
        network.avgpool = nn.AdaptiveAvgPool2d(1)  # VGG and AlexNet keep 7x7 and 6x6 places for their dense layers
    for auxiliary in ("aux1", "aux2", "AuxLogits"):  # Inception's second and third classifier
        if hasattr(network, auxiliary):
            setattr(network, auxiliary, None)
            network.aux_logits = False
            network.transform_input = True  # its published weights expect pixels from -1 to 1
    return network


def _listed(head: nn.Module) -> bool:
    return isinstance(head, nn.Sequential)


def scale(backbone: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation (3 each, on a scale of 0 to 1) of the pixels that `backbone` was trained on."""
    return SCALES.get(backbone, IMAGENET)


def resized(x: Tensor, side: int) -> Tensor:
    """Floats (B, C, H, W) as (B, C, side, side), bilinear; for sides above half of H and W nothing is left out."""
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


class Transfer(nn.Module):
    """A backbone and a head on its features: logits (B, `classes`) for floats (B, 3, H, W) of any size."""

    def __init__(self, backbone: nn.Module, side: int, classes: int, head: str, dense: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.side = side
        width = features(backbone, side)
        layers: list[nn.Module] = [nn.Dropout(dropout), nn.Linear(width, classes)]
        if head == "dense":  # as in the course notebooks on ResNet-50: 1024 units
            layers = [nn.Linear(width, dense), nn.ReLU(), nn.Dropout(dropout), nn.Linear(dense, classes)]
        self.head = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(resized(x, self.side)))


def build(backbone: str, arguments: dict) -> Transfer:
    """The network that architecture.json describes, channels-last; its weights are those of the global seed."""
    return Transfer(cut(whole(backbone)), **arguments).to(memory_format=torch.channels_last)


@torch.no_grad()
def features(backbone: nn.Module, side: int) -> int:
    """How many features `backbone` gives for floats (B, 3, side, side). Raises ValueError where it cannot take them."""
    training = backbone.training
    try:
        return backbone.eval()(torch.zeros(1, 3, side, side)).shape[1]
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(f"side: the backbone takes no pictures of {side}x{side} ({error})") from error
    finally:
        backbone.train(training)


def blocks(backbone: nn.Module) -> list[list[nn.Module]]:
    """The parts of `backbone` that have weights, from the input up, as they are tuned: its layers, those that are
    sequences opened (a ResNet's residual blocks, the convolutions of a VGG), each with the norm that follows it.
    """
    found: list[list[nn.Module]] = []
    norms = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)
    for child in backbone.children():
        for part in child if isinstance(child, nn.Sequential) else [child]:
            if not list(part.parameters()):
                continue
            if found and isinstance(part, norms):
                found[-1].append(part)
            else:
                found.append([part])
    return found


def set_modes(network: Transfer, tuned: list[list[nn.Module]], frozen_norms: bool) -> None:
    """Training mode for the head and the `tuned` blocks; the others keep the statistics of ImageNet.

    With `frozen_norms`, the norms of the tuned blocks keep them too.
    """
    network.eval()
    for module in (network.head, *(module for modules in tuned for module in modules)):
        module.train()
    if frozen_norms:
        for module in network.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def published(folder: Path) -> tuple[str, dict[str, Tensor], dict]:
    """The backbone's name, its tensors and what weights.json tells, from a folder of the stage `weights`.

    Raises ConvzooError where there are no weights, and for a file that is not the one that was brought: a network never
    starts from random weights in their place.
    """
    about = read_json(folder / "weights.json") if (folder / "weights.json").is_file() else {}
    file, name = folder / "weights.safetensors", folder.name
    if file.name not in about.get("files", []):
        found = f"weights.{name} is of the kind {about['kind']}" if about else f"there is no {folder}/weights.json"
        raise ConvzooError(
            f"{folder}: has no weights to start from ({found}); expected {file.name} with ImageNet's weights, made by "
            f"`dvc repro weights@{name}` from a block weights.{name} of the kind package, torchvision or file; "
            "efficientnet-lite0 needs no download, and the profile full has resnet50"
        )
    if not file.is_file() or sha256_of(file) != about["files"][file.name]:
        raise ConvzooError(f"{file}: is not what weights.json says; run: dvc repro -f weights@{name}")
    return about["backbone"], load_file(file), about


def onnx_bytes(module: nn.Module, example: Tensor, outputs: str, any_size: bool = False) -> bytes:
    """`module` in evaluation mode as an ONNX file that takes uint8 `images` (N, H, W, C) like `example`, of any number
    and, where said so, of any size. Nothing of this machine is in it.
    """
    modes = {part: part.training for part in module.modules()}
    exported = io.BytesIO()
    sizes = {0: "N", 1: "H", 2: "W"} if any_size else {0: "N"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter through TorchScript, the one that is fast
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)  # what is not folded does no harm
        torch.onnx.export(
            module.eval(),
            (example,),
            exported,
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=[outputs],
            dynamic_axes={"images": sizes, outputs: {0: "N"}},
        )
    for part, training in modes.items():
        part.training = training
    return exported.getvalue()
