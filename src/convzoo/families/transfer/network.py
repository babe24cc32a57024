"""Transfer learning: a backbone that was trained on ImageNet, and a small head on its features."""

import torch
from torch import Tensor, nn

from convzoo.weights.backbones import cut, features, resized, whole


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
    """The network that architecture.json describes, channels-last, with random weights from the global seed."""
    return Transfer(cut(whole(backbone)), **arguments).to(memory_format=torch.channels_last)


def blocks(backbone: nn.Module) -> list[list[nn.Module]]:
    """The parts of `backbone` that have weights, from the input up, as fine-tuning counts them: its layers, with
    sequences taken apart (a ResNet's residual blocks, a VGG's convolutions), each with the norm that follows it.
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
