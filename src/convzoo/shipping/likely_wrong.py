"""Reasons why a classifier is likely to be wrong about an image, from what export.json says of its training images."""

from typing import Any

import numpy as np

from convzoo.data.image_statistics import inverted_background, unlike

BACKGROUND = {  # of an image, and what a network learned instead
    "light": "a light background, but this network learned light shapes on a dark one",
    "dark": "a dark background, but this network learned dark shapes on a light one",
}


def drawn_warnings(name: str, trained_on: dict[str, Any]) -> list[str]:
    """A warning about all answers of a network that was trained on drawn pictures."""
    source = trained_on.get("source", {})
    if source.get("kind") != "synthetic":
        return []
    return [f"{name} was trained on drawn pictures ({source['name']}): do not trust its answers about photos"]


def image_warnings(images: np.ndarray, trained_on: dict[str, Any], invert: str) -> list[list[str]]:
    """For each image, reasons why the network is likely to be wrong; `invert` is how a user swaps black and white."""
    known = trained_on.get("ranges")
    if not known:
        return [[] for _ in images]
    warnings = []
    for image, background in zip(images, inverted_background(images, known), strict=True):
        [differences] = unlike((255 - image if background else image)[None], known)
        if differences:
            even = f", even with {invert}" if background else ""
            warnings.append([f"unlike the images that this network was trained on{even} ({'; '.join(differences)})"])
        else:
            warnings.append([f"{BACKGROUND[background]}; try {invert}"] if background else [])
    return warnings
