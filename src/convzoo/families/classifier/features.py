"""The exported form of the features of a classifier: the inputs of its last layer."""

import torch
from torch import Tensor, nn

from convzoo.data.pixels import to_floats
from convzoo.families.classifier.network import Fast, Reference


class PixelFeatures(nn.Module):
    """Compute features (B, D) of raw images uint8 (B, H, W, C).

    They are the pooled maps of `Fast`, or the dense layer of `Reference`.
    """

    def __init__(self, network: Fast | Reference, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.body = network  # the attribute's name becomes part of the tensor names in the ONNX file
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        x, network = to_floats(images, self.mean, self.std), self.body
        if isinstance(network, Reference):
            return network.layers[:-1](x)
        return network.pooled(network.blocks(network.stem_act(network.stem(x))))
