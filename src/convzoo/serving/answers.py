"""Computes answers: the JSON for a request's images or latents. Runs in a worker thread."""

import base64
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from convzoo.metrics.images import psnr
from convzoo.serving.inputs import Body, images_of, latents_of
from convzoo.serving.limits import Limits
from convzoo.serving.served import Served
from convzoo.shipping.likely_wrong import image_warnings

DIGITS = 6
INVERT = "?invert=true"


class Computed(NamedTuple):
    """An answer, and what the network made of what."""

    answer: dict[str, Any]
    inputs: np.ndarray
    outputs: np.ndarray


def predict(served: Served, body: Body, limits: Limits, *, top: int | None = None, invert: bool = False) -> Computed:
    """The class of each image, with probabilities; of the `top` most probable classes, or of all."""
    images = images_of(body, served, limits)
    pixels = 255 - images.pixels if invert else images.pixels
    probabilities = served.model.run(pixels)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    unusual = image_warnings(pixels, served.export.get("images", {}), INVERT)
    answers = []
    for name, best, row, warnings in zip(images.names, order.tolist(), probabilities, unusual, strict=True):
        by_class = {served.classes[i]: round(float(row[i]), DIGITS) for i in best}
        answers.append(
            {
                "file": name,
                "class": served.classes[best[0]],
                "probability": by_class[served.classes[best[0]]],
                "probabilities": by_class,
                "warnings": served.warnings + warnings,
            }
        )
    answer = served.identity() | {"answers": answers, "notes": images.notes}
    return Computed(answer, pixels, probabilities)


def reconstruct(served: Served, body: Body, limits: Limits) -> Computed:
    """The reconstruction of each image, and how close it is."""
    images = images_of(body, served, limits)
    outputs = served.model.run(images.pixels)
    errors = np.square(images.pixels.astype(np.float64) - outputs).mean(axis=(1, 2, 3))
    answers = []
    for name, error, output in zip(images.names, errors, outputs, strict=True):
        answers.append({"file": name, "psnr": round(float(psnr(error, output.size)), 2)})
    answer = served.identity() | {"answers": answers, "images": as_base64(outputs), "notes": images.notes}
    return Computed(answer, images.pixels, outputs)


def encode(served: Served, body: Body, limits: Limits) -> Computed:
    """The latents of each image."""
    images = images_of(body, served, limits)
    latents = served.encoder.run(images.pixels)
    rows = [[round(value, DIGITS) for value in row] for row in latents.reshape(len(latents), -1).tolist()]
    answer = served.identity() | {"files": images.names, "latents": rows, "notes": images.notes}
    return Computed(answer, images.pixels, latents)


def sample(served: Served, body: Body, limits: Limits) -> Computed:
    """Generated images."""
    latents, seed = latents_of(body, served, limits)
    images = served.model.run(latents)
    return Computed(served.identity() | {"seed": seed, "images": as_base64(images)}, latents, images)


def as_base64(images: np.ndarray) -> dict[str, Any]:
    """Images, uint8 (N, H, W, C), for JSON."""
    return {"base64": base64.b64encode(np.ascontiguousarray(images)).decode(), "shape": list(images.shape)}


OPERATIONS: dict[str, Callable[..., Computed]] = {
    "predict": predict,
    "reconstruct": reconstruct,
    "encode": encode,
    "sample": sample,
}
