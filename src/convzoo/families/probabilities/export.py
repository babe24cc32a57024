"""The stage `export` of a network with class probabilities, the same for all families that have them."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import nn

from convzoo.data.arrays import Split, load_split
from convzoo.families.probabilities.network import PixelClassifier
from convzoo.families.probabilities.settings import ExportSettings
from convzoo.shipping.export import Exported, export_files, load_trained, val_images

TEMPERATURES = (0.05, 20.0)  # the range that is searched
BATCH = 500


def export_probabilities(
    network: str,
    described: dict[str, Any],
    body: nn.Module,
    settings: ExportSettings,
    parts: dict[str, nn.Module] | None = None,
    **extras: Any,
) -> None:
    """Write models/NETWORK/model.onnx and export.json: raw uint8 (B, H, W, C) in, probabilities (B, K) out.

    `described` is architecture.json, `body` the network that it describes, whose weights are loaded here. `parts` are
    further networks from raw images to probabilities, which go to parts/ under their names; `extras` are further keys
    of export.json. Raises ConvzooError, and writes nothing, if a file does not agree with the weights.
    """
    load_trained(body, network, "weights.safetensors", described["weights_sha256"])
    module = PixelClassifier(body, described["mean"], described["std"], settings.views).eval()
    if settings.calibrate:
        module.temperature = fitted_temperature(module, load_split(Path("data/prepared", described["dataset"], "val")))
    images = val_images(described["dataset"], settings.parity_images)

    def exported(network: nn.Module) -> Exported:
        return Exported(network, images, "images", "probabilities", "probability")

    export_files(
        network,
        described,
        body,
        exported(module),
        {name: exported(part) for name, part in (parts or {}).items()},
        views=settings.views,
        temperature=module.temperature,
        **extras,
    )


@torch.no_grad()
def fitted_temperature(module: PixelClassifier, val: Split) -> float:
    """The temperature with the lowest cross-entropy on val, with three digits: it changes no answer, only how confident
    each is (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
    """
    starts = range(0, len(val.images), BATCH)
    logits = torch.cat(
        [module.logits(torch.from_numpy(val.images[start : start + BATCH])) for start in starts]
    ).double()
    labels = torch.from_numpy(val.labels)
    low, high = (torch.tensor(bound).log().item() for bound in TEMPERATURES)
    for _ in range(4):  # a finer grid around the best of the last one
        grid = torch.linspace(low, high, 33, dtype=torch.float64).exp()
        losses = [F.cross_entropy(logits / temperature, labels).item() for temperature in grid]
        best = losses.index(min(losses))
        low, high = grid[max(best - 1, 0)].log().item(), grid[min(best + 1, 32)].log().item()
    return float(f"{grid[best].item():.3g}")
