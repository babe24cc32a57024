"""Export of class probabilities, shared by all families that predict them."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import nn

from convzoo.data.arrays import Split, load_split
from convzoo.families.probabilities.network import PixelClassifier
from convzoo.families.probabilities.settings import ExportSettings
from convzoo.shipping.export import Exported, export_files, load_trained, val_images
from convzoo.shipping.reference import FEATURES

TEMPERATURES = (0.05, 20.0)  # the range to search
BATCH = 500


def export_probabilities(
    network: str,
    described: dict[str, Any],
    model: nn.Module,
    settings: ExportSettings,
    features: nn.Module,
    parts: dict[str, nn.Module] | None = None,
    **extras: Any,
) -> None:
    """Write models/NETWORK/model.onnx and export.json: raw uint8 (B, H, W, C) in, probabilities (B, K) out.

    `described` is the content of architecture.json and `model` the network that it describes; the weights are loaded
    here. `features` is the part of it from raw images to features (B, D). `parts` are more networks from raw images to
    probabilities, written to parts/ under their keys; `extras` are more keys of export.json. Raises ConvzooError, and
    writes nothing, if a file's outputs differ from those of the weights.
    """
    load_trained(model, network, described)
    classifier = PixelClassifier(model, described["mean"], described["std"], settings.views).eval()
    if settings.calibrate:
        classifier.temperature = fitted_temperature(
            classifier, load_split(Path("data/prepared", described["dataset"], "val"))
        )
    images = val_images(described["dataset"], settings.parity_images)

    def exported(part: nn.Module) -> Exported:
        return Exported(part, images, "images", "probabilities", "probability")

    export_files(
        network,
        described,
        model,
        exported(classifier),
        {
            FEATURES: Exported(features, images, "images", "features", "feature"),
            **{name: exported(part) for name, part in (parts or {}).items()},
        },
        FEATURES,
        views=settings.views,
        temperature=classifier.temperature,
        **extras,
    )


@torch.no_grad()
def fitted_temperature(classifier: PixelClassifier, val: Split) -> float:
    """Return the temperature with the lowest cross-entropy on val, to three digits.

    It changes the confidence of predictions, not the predicted classes (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599).
    """
    starts = range(0, len(val.images), BATCH)
    logits = torch.cat(
        [classifier.logits(torch.from_numpy(val.images[start : start + BATCH])) for start in starts]
    ).double()
    labels = torch.from_numpy(val.labels)
    low, high = (torch.tensor(bound).log().item() for bound in TEMPERATURES)
    for _ in range(4):  # each grid is finer, around the best value of the previous one
        grid = torch.linspace(low, high, 33, dtype=torch.float64).exp()
        losses = [F.cross_entropy(logits / temperature, labels).item() for temperature in grid]
        best = losses.index(min(losses))
        low, high = grid[max(best - 1, 0)].log().item(), grid[min(best + 1, 32)].log().item()
    return float(f"{grid[best].item():.3g}")
