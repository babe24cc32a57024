"""Raw pixels as floats: the input of every network, in training and inside its exported file."""

from torch import Tensor


def to_floats(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images (B, H, W, C), 0 to 255, as scaled floats (B, C, H, W), channels-last in memory.

    `mean` and `std` (C,) are on a scale of 0 to 1: those of the train images, those that a backbone was trained with,
    or 0.5 for floats from -1 to 1.
    """
    floats = (images.float() / 255 - mean) / std
    return floats.permute(0, 3, 1, 2)
