"""Turns a trained autoencoder into the one file that ships, and holds its encoder and decoder against the weights."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from convzoo.data.arrays import evenly_spaced, load_split
from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.families.autoencoder.network import PixelAutoencoder, build, scale
from convzoo.families.autoencoder.settings import ExportSettings
from convzoo.files import new_file, read_json, sha256_of, write_json
from convzoo.shipping.model import Model, run_in_batches
from convzoo.shipping.onnx import OPSET, load_trained, write_onnx

# A value that lies on the border between two grey levels may be rounded either way.
LEVELS, SHARE = 1, 1e-3  # grey levels that a reconstruction may differ by, on this share of its values
TOLERANCE = 1e-3  # of a latent, in fp32, against the largest of all latents
BATCH = 250


def export(network: str, settings: ExportSettings) -> None:
    """Write models/NETWORK/model.onnx and export.json: raw uint8 (B, H, W, C) in, reconstructions of the same kind out.

    Raises ConvzooError, and leaves no model.onnx, where this file, extra/encoder.onnx or extra/decoder.onnx does not do
    what the weights do.
    """
    folder = Path("models", network)
    described = read_json(folder / "architecture.json")
    body = build(described["architecture"], described["arguments"])
    load_trained(body, network, described)
    module = PixelAutoencoder(body).eval()

    val = load_split(Path("data/prepared", described["dataset"], "val"))
    images = np.array(val.images[evenly_spaced(len(val.images), settings.parity_images)])
    latents, reconstructions = expected(body, images)
    with new_file(folder / "model.onnx") as temporary:
        about = {name: described[name] for name in ("family", "dataset", "classes")} | {"network": network}
        write_onnx(module, torch.from_numpy(images[:2]), "images", "reconstructions", about, temporary)
        found = {
            "reconstructions": same_pixels(network, temporary, images, reconstructions),
            "latents": same_latents(network, folder / "extra" / "encoder.onnx", images, latents),
            "decoded": same_pixels(network, folder / "extra" / "decoder.onnx", latents, reconstructions),
        }

    shape = described["shape"]
    write_json(
        folder / "export.json",
        {
            "model_sha256": sha256_of(folder / "model.onnx"),
            "weights_sha256": sha256_of(folder / "weights.safetensors"),
            "encoder_sha256": sha256_of(folder / "extra" / "encoder.onnx"),
            "decoder_sha256": sha256_of(folder / "extra" / "decoder.onnx"),
            "bytes": (folder / "model.onnx").stat().st_size,
            "parameters": sum(weight.numel() for weight in body.parameters()),
            "latent": latents.shape[1],
            "opset": OPSET,
            "input": {"name": "images", "dtype": "uint8", "shape": [None, *shape]},
            "output": {"name": "reconstructions", "dtype": "uint8", "shape": [None, *shape]},
            "dataset": described["dataset"],
            "classes": described["classes"],
            "parity": {"split": "val", "images": len(images), **found},
        },
    )


@torch.no_grad()
def expected(body: nn.Module, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The latents and the reconstructions that the weights (fp32) make of `images` (N, H, W, C)."""
    module = PixelAutoencoder(body.eval())
    parts: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(images), BATCH):
        x = torch.from_numpy(images[start : start + BATCH])
        parts.append((body.encode(to_floats(x, *scale(x.device))), module(x)))
    latents, reconstructions = zip(*parts, strict=True)
    return torch.cat(latents).numpy(), torch.cat(reconstructions).numpy()


def same_pixels(network: str, path: Path, given: np.ndarray, wanted: np.ndarray) -> dict:
    """How far the file's pictures are from `wanted`. Raises ConvzooError for more than rounding explains."""
    made = run_in_batches(Model(path), given, BATCH)
    difference = np.abs(made.astype(np.int16) - wanted) if made.shape == wanted.shape else np.full(1, 255)
    largest, share = int(difference.max()), float((difference > 0).mean())
    if largest > LEVELS or share > SHARE:
        raise ConvzooError(
            f"{network}: {path} does not do what the weights do: {share:.2%} of the pixels differ, by {largest} grey "
            f"levels at most (expected {LEVELS} on {SHARE:.1%}); the file was not exported"
        )
    return {"max_levels": largest, "share_of_pixels": float(f"{share:.2g}")}


def same_latents(network: str, path: Path, images: np.ndarray, wanted: np.ndarray) -> dict:
    """How far the file's latents are from `wanted`. Raises ConvzooError where they are not the same."""
    made = run_in_batches(Model(path), images, BATCH)
    allowed = TOLERANCE * float(np.abs(wanted).max())
    difference = float(np.abs(made - wanted).max()) if made.shape == wanted.shape else float("inf")
    if not difference < allowed:
        raise ConvzooError(
            f"{network}: {path} does not do what the weights do: latents differ by {difference:.2g} (expected below "
            f"{allowed:.2g}); train it again: dvc repro -f train@{network}"
        )
    return {"max_abs_difference": float(f"{difference:.2g}"), "tolerance": float(f"{allowed:.2g}")}
