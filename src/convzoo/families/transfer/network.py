"""Transfer learning: a backbone trained on ImageNet, and a small head on its features."""

import torch
from torch import Tensor, nn

from convzoo.weights.backbones import cut, features, resized, whole


class Transfer(nn.Module):
    """A backbone and a head on its features: logits (B, `classes`) of floats (B, 3, H, W) of any size."""

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
    """Build the network that architecture.json describes, channels-last, with initial weights from the global seed."""
    return Transfer(cut(whole(backbone)), **arguments).to(memory_format=torch.channels_last)


def blocks(backbone: nn.Module) -> list[list[nn.Module]]:
    """Return the blocks of `backbone` that have weights, from input to output, as fine-tuning counts them.

    A block is a child module, or a part of it if that is a sequence (a ResNet's residual blocks, a VGG's convolutions),
    with the norm that follows it.
    """
    groups: list[list[nn.Module]] = []
    norms = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)
    for child in backbone.children():
        for part in child if isinstance(child, nn.Sequential) else [child]:
            if not list(part.parameters()):
                continue
            if groups and isinstance(part, norms):
                groups[-1].append(part)
            else:
                groups.append([part])
    return groups


def set_modes(network: Transfer, tuned: list[list[nn.Module]], frozen_norms: bool) -> None:
    """Set the head and the `tuned` blocks to training mode; the other blocks keep the statistics of ImageNet.

    With `frozen_norms`, the norms of the tuned blocks keep them, too.
    """
    network.eval()
    for module in (network.head, *(module for modules in tuned for module in modules)):
        module.train()
    if frozen_norms:
        for module in network.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
