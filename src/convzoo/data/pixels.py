"""Raw pixels in, floats inside: the only place where pixels are scaled, for training, export and serving alike."""

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import Tensor, nn


def to_floats(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images (B, H, W, C), 0 to 255, as standardised floats (B, C, H, W), channels-last in memory.

    `mean` and `std` (C,) are those of the train images on a scale of 0 to 1.
    """
    floats = (images.float() / 255 - mean) / std
    return floats.permute(0, 3, 1, 2)


class PixelClassifier(nn.Module):
    """What ships: uint8 (B, H, W, C) in, probabilities (B, K) out.

    `views` names what the logits are averaged over, inside the graph: the image as it is (identity), and its mirror
    image (mirror), and shifts by a pixel up-left and down-right at half the weight (shift, mirror_shift; after
    Keller Jordan's airbench, https://github.com/KellerJordan/cifar10-airbench). The logits are divided by
    `temperature` (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
    """

    def __init__(
        self, body: nn.Module, mean: list[float], std: list[float], views: str, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.body = body
        self.views = views
        self.temperature = temperature
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        return (self.logits(images) / self.temperature).softmax(dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """Logits (B, K), averaged over the views, before the temperature."""
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
