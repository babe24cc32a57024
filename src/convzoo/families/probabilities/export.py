"""How a network of class probabilities becomes the one file that ships; the same for all families that have them."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from torch import nn

from convzoo.data.arrays import Split, evenly_spaced, load_split
from convzoo.data.pixels import PixelClassifier
from convzoo.files import new_file, sha256_of, write_json
from convzoo.shipping.onnx import OPSET, load_trained, parity, write_onnx

TOLERANCE = 1e-4  # of a probability, in fp32
TEMPERATURES = (0.05, 20.0)  # that are looked at
BATCH = 500


class ExportSettings(Protocol):
    """What a family's settings say of its export."""

    views: str
    calibrate: bool
    parity_images: int


def export_probabilities(
    network: str, described: dict[str, Any], body: nn.Module, settings: ExportSettings, about: dict[str, Any]
) -> None:
    """Write models/NETWORK/model.onnx and export.json: raw uint8 (B, H, W, C) in, probabilities (B, K) out.

    `described` is architecture.json, `body` the network that it describes, whose weights are read here; `about` is told
    in export.json too. Raises ConvzooError, and leaves no model.onnx, where the file does not do what the weights do.
    """
    folder = Path("models", network)
    load_trained(body, network, described)
    module = PixelClassifier(body, described["mean"], described["std"], settings.views).eval()

    val = load_split(Path("data/prepared", described["dataset"], "val"))
    if settings.calibrate:
        module.temperature = fitted_temperature(module, val)
    images = np.array(val.images[evenly_spaced(len(val.images), settings.parity_images)])
    with new_file(folder / "model.onnx") as temporary:
        said = {name: described[name] for name in ("family", "dataset", "classes")} | {"network": network}
        write_onnx(module, torch.from_numpy(images[:2]), "images", "probabilities", said, temporary)
        found = parity(network, module, temporary, images, TOLERANCE)

    shape = described["shape"]
    write_json(
        folder / "export.json",
        {
            "model_sha256": sha256_of(folder / "model.onnx"),
            "weights_sha256": sha256_of(folder / "weights.safetensors"),
            "bytes": (folder / "model.onnx").stat().st_size,
            "parameters": sum(weight.numel() for weight in body.parameters()),
            "opset": OPSET,
            "views": settings.views,
            "temperature": module.temperature,
            "input": {"name": "images", "dtype": "uint8", "shape": [None, *shape]},
            "output": {"name": "probabilities", "dtype": "float32", "shape": [None, len(described["classes"])]},
            "dataset": described["dataset"],
            "classes": described["classes"],
            "parity": {"split": "val", "tolerance": TOLERANCE, **found},
            **about,
        },
    )


@torch.no_grad()
def fitted_temperature(module: PixelClassifier, val: Split) -> float:
    """The temperature with the least cross-entropy on val, with three digits: the answers stay, only how sure they are
    changes (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
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
