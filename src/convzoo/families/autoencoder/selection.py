"""How an epoch of an autoencoder's training is judged, on val."""

import math

import torch
from lightning_fabric import Fabric
from torch import nn

from convzoo.data.batches import Images, in_order
from convzoo.data.pixels import to_floats
from convzoo.families.autoencoder.network import scale, to_pixels

BATCH = 500


@torch.no_grad()
def judge(fabric: Fabric, body: nn.Module, val: Images) -> tuple[float, float]:
    """Mean squared error (pixels from -1 to 1) of `body` on val, and PSNR (dB) of its rounded pixels; its mode is put
    back.

    PSNR is that of the mean squared error over all of val (grey levels, 255 the peak).
    """
    training = body.training
    body.eval()
    loss, levels, values = 0.0, 0.0, 0
    for index in in_order(len(val), BATCH):
        images = val.take(index)
        x = to_floats(images, *scale(fabric.device))
        with fabric.autocast():
            made = body(x).float()
        loss += (made - x).square().sum().item()
        levels += (to_pixels(made).float() - images.float()).square().sum().item()
        values += images.numel()
    body.train(training)
    return loss / values, psnr(levels / values)


def psnr(error: float) -> float:
    """Peak signal-to-noise ratio (dB) of a mean squared error in grey levels; infinite for none."""
    return 10 * math.log10(255**2 / error) if error > 0 else math.inf
