"""Inference: the exported file against the same network in eager PyTorch, on the CPU."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from convzoo.families.autoencoder import network as autoencoder
from convzoo.families.classifier import network as classifier
from convzoo.families.dcgan import network as dcgan
from convzoo.families.dcgan.latents import latents
from convzoo.families.probabilities.network import PixelClassifier
from convzoo.families.transfer import network as transfer
from convzoo.files import read_json
from convzoo.shipping.export import MODEL, load_trained, val_images
from convzoo.shipping.model import THREADS, Model

BATCHES = (1, 256)


def eager(network: str, described: dict[str, Any], export: dict[str, Any]) -> nn.Module:
    """The module that was exported to models/NETWORK/model.onnx, given architecture.json and export.json."""
    family = described["family"]
    if family == "dcgan":
        body, _ = dcgan.build(described["generator"], described["discriminator"])
    else:
        build = {"autoencoder": autoencoder, "classifier": classifier, "transfer": transfer}[family].build
        body = build(described["architecture"], described["arguments"])
    load_trained(body, network, described)
    if family == "dcgan":
        return dcgan.PixelGenerator(body).eval()
    if family == "autoencoder":
        return autoencoder.PixelAutoencoder(body).eval()
    scale = described["mean"], described["std"]
    return PixelClassifier(body, *scale, export["views"], export["temperature"]).eval()


def inputs(described: dict[str, Any], count: int) -> np.ndarray:
    """`count` images of val, repeated if it has fewer, or latents for a generator."""
    if described["family"] == "dcgan":
        return latents(count, described["generator"]["latents"], seed=0)
    images = val_images(described["dataset"], count)
    return np.resize(images, (count, *images.shape[1:]))


def measure(network: str, repeats: int, seconds: float) -> list[dict[str, Any]]:
    """For each batch size, the median seconds of a batch of both, by turns `repeats` times for `seconds` each.

    Raises ConvzooError if the exported file or the weights are missing.
    """
    folder = Path("models", network)
    model = Model(folder / MODEL)
    described, export = read_json(folder / "architecture.json"), read_json(folder / "export.json")
    module, rows = eager(network, described, export), []
    torch.set_num_threads(THREADS)
    for size in BATCHES:
        batch = inputs(described, size)
        tensor = torch.from_numpy(batch)
        with torch.inference_mode():
            turns = alternated(
                {"onnx": lambda b=batch: model(b), "eager": lambda t=tensor: module(t)}, repeats, seconds
            )
        ratio = statistics.median(one / other for one, other in zip(turns["eager"], turns["onnx"], strict=True))
        medians = {f"{name}_seconds": statistics.median(values) for name, values in turns.items()}
        rows.append({"network": network, "batch": size, **medians, "times_as_fast": ratio})
    return rows


def alternated(calls: dict[str, Callable[[], Any]], repeats: int, seconds: float) -> dict[str, list[float]]:
    """The median seconds of a call, by name, for each of `repeats` turns of about `seconds`."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            times, end = [], time.perf_counter() + seconds
            while not times or time.perf_counter() < end:
                began = time.perf_counter()
                call()
                times.append(time.perf_counter() - began)
            found[name].append(statistics.median(times))
    return found
