"""Turns a trained generator into the one file that ships."""

from pathlib import Path

import numpy as np
import torch

from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.families.dcgan.network import Generator, PixelGenerator, samples
from convzoo.families.dcgan.settings import ExportSettings
from convzoo.files import new_file, read_json, sha256_of, write_json
from convzoo.shipping.model import Model, run_in_batches
from convzoo.shipping.onnx import OPSET, load_trained, write_onnx

LEVELS, SHARE = 1, 0.001  # grey levels that a value may differ by, and the share of values that may differ
SEED = 0  # of the latents on which the file is held against the weights
BATCH = 250


def export(network: str, settings: ExportSettings) -> None:
    """Write models/NETWORK/model.onnx and export.json: latents float32 (B, L) in, pictures uint8 (B, H, W, C) out.

    Raises ConvzooError, and leaves no model.onnx, where the file does not do what the weights do.
    """
    folder = Path("models", network)
    described = read_json(folder / "architecture.json")
    body = Generator(**described["generator"]).to(memory_format=torch.channels_last)
    load_trained(body, network, described)
    shape, size = described["shape"], described["generator"]["latents"]
    val = load_split(Path("data/prepared", described["dataset"], "val")).images
    if list(val.shape[1:]) != shape:
        raise ConvzooError(
            f"{network}: makes pictures of {shape}, data/prepared/{described['dataset']} has {list(val.shape[1:])}; "
            f"train it again: dvc repro train@{network}"
        )

    randomness = np.random.Generator(np.random.PCG64(SEED))
    latents = randomness.standard_normal((settings.parity_images, size), dtype=np.float32)
    with new_file(folder / "model.onnx") as temporary:
        about = {name: described[name] for name in ("family", "dataset", "classes")} | {"network": network}
        write_onnx(PixelGenerator(body), torch.from_numpy(latents[:2]), "latents", "images", about, temporary)
        found = parity(network, body, temporary, latents)

    write_json(
        folder / "export.json",
        {
            "model_sha256": sha256_of(folder / "model.onnx"),
            "weights_sha256": sha256_of(folder / "weights.safetensors"),
            "bytes": (folder / "model.onnx").stat().st_size,
            "parameters": sum(weight.numel() for weight in body.parameters()),
            "opset": OPSET,
            "input": {"name": "latents", "dtype": "float32", "shape": [None, size]},
            "output": {"name": "images", "dtype": "uint8", "shape": [None, *shape]},
            "dataset": described["dataset"],
            "classes": described["classes"],
            "parity": {"tolerance_levels": LEVELS, "tolerance_share": SHARE, **found},
        },
    )


def parity(network: str, body: Generator, path: Path, latents: np.ndarray) -> dict:
    """How far the file's pictures are from those of `body` (fp32) for the same `latents` (N, L).

    Raises ConvzooError where a value differs by more than one grey level, or more than a thousandth of them differ.
    """
    expected = samples(body, latents, BATCH).astype(np.int16)
    difference = np.abs(expected - run_in_batches(Model(path), latents, BATCH))
    most, share = int(difference.max()), float((difference > 0).mean())
    if most > LEVELS or share > SHARE:
        raise ConvzooError(
            f"{network}: {path} does not do what the weights do: values differ by up to {most} grey levels (expected "
            f"{LEVELS} at most), {share:.3%} of them differ (expected {SHARE:.1%} at most); the file was not exported"
        )
    return {"images": len(latents), "max_levels": most, "share_different": float(f"{share:.2g}")}
