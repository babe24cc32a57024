"""The exported form of every network that predicts class probabilities."""

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn

from convzoo.data.pixels import to_floats


class PixelClassifier(nn.Module):
    """Compute probabilities (B, K) of raw images uint8 (B, H, W, C).

    `views` selects the versions of an image over which the graph averages the logits: the image alone (identity), also
    its mirror image (mirror), also shifts by one pixel up-left and down-right with half the total weight (shift,
    mirror_shift; after Keller Jordan's airbench, https://github.com/KellerJordan/cifar10-airbench). The logits
    are divided by `temperature` (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
    """

    def __init__(
        self, network: nn.Module, mean: list[float], std: list[float], views: str, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.body = network  # the attribute's name becomes part of the tensor names in the ONNX file
        self.views = views
        self.temperature = temperature
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        logits = self.logits(images) / self.temperature
        # A softmax in steps: that of ONNX Runtime sums in an order that depends on the processor.
        exponentials = (logits - logits.amax(dim=1, keepdim=True)).exp()
        return exponentials / exponentials.sum(dim=1, keepdim=True)

    def logits(self, images: Tensor) -> Tensor:
        """Compute the logits (B, K), averaged over the views and before the temperature."""
        x = to_floats(images, self.mean, self.std)
        logits = self._mirrored(x)
        if self.views in ("shift", "mirror_shift"):
            height, width = x.shape[2:]
            padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
            up_left = self._mirrored(padded[:, :, :height, :width])
            down_right = self._mirrored(padded[:, :, 2 : height + 2, 2 : width + 2])
            logits = 0.5 * logits + 0.25 * (up_left + down_right)
        return logits

    def _mirrored(self, x: Tensor) -> Tensor:
        if self.views in ("mirror", "mirror_shift"):
            return 0.5 * (self.body(x) + self.body(x.flip(3)))
        return self.body(x)
