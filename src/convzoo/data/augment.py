"""Stored variants of train images: turned, shifted, scaled, mirrored, and with other light."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

from convzoo.data.arrays import load_split
from convzoo.data.manifest import digests, read_rows, write_rows
from convzoo.data.picture import as_array, as_picture, contact_sheet, write_picture
from convzoo.errors import ConvzooError
from convzoo.files import new_folder
from convzoo.settings.data import AugmentSettings

COLUMNS = ("id", "original", "sha256", "label")
CHUNK_BYTES = 1 << 25  # padded images that are in memory at a time


class AugmentError(ConvzooError):
    """Variants cannot be made as params.yaml says."""


class Draws(NamedTuple):
    """What is done to each of N images."""

    matrices: np.ndarray  # float64 (N, 2, 3): from a place in the variant to the place in the original, from the centre
    brightness: np.ndarray  # float64 (N,), 1 leaves an image as it is; so the next two
    contrast: np.ndarray
    saturation: np.ndarray


def augment(dataset: str, settings: AugmentSettings, train: Path, folder: Path) -> int:
    """Write the variants of the train split, their manifest and a picture to `folder`; their number is returned.

    The variants stand one round after another, each round in the order of the train split; more rounds leave the
    earlier ones as they are. Raises AugmentError where variants would be copies.
    """
    changes = settings.model_dump(exclude={"seed", "variants", "pictured"})
    if settings.variants and not any(changes.values()):
        raise AugmentError(
            f"{dataset}: variants would be copies: data.{dataset}.augment has variants: {settings.variants}, "
            f"but {', '.join(changes)} are all off; set one of them, or variants: 0"
        )
    split = load_split(train)
    ids = [row["id"] for row in read_rows(train / "manifest.csv")]
    count, *shape = split.images.shape
    if not len(ids) == len(split.labels) == count:
        raise AugmentError(
            f"{train}: has {count} images, {len(split.labels)} labels and {len(ids)} rows in manifest.csv, "
            "expected as many of each; make it again: dvc repro -f prepare"
        )
    with new_folder(folder) as new:
        images = np.lib.format.open_memmap(
            new / "images.npy", mode="w+", dtype=np.uint8, shape=(settings.variants * count, *shape)
        )
        rows = []
        for variant in range(settings.variants):
            draws = draw(settings, variant, count, shape[0], shape[1])
            start = variant * count
            for made in changed(split.images, draws):
                images[start : start + len(made)] = made
                for sha256 in digests(made):
                    row = len(rows) - variant * count
                    rows.append((f"{ids[row]}-v{variant + 1}", ids[row], sha256, int(split.labels[row])))
                start += len(made)
        images.flush()
        np.save(new / "labels.npy", np.tile(split.labels, settings.variants))
        write_rows(new / "manifest.csv", COLUMNS, rows)

        # Spread over the whole split, which may be sorted by class.
        shown = np.linspace(0, count - 1, min(settings.pictured, count)).round().astype(np.int64)
        rounds = [split.images, *(images[n * count : (n + 1) * count] for n in range(settings.variants))]
        titles = ["originals", *(f"variants {n + 1}" for n in range(settings.variants))]
        write_picture(contact_sheet([[part[row] for row in shown] for part in rounds], titles), new / "preview.png")
    return len(rows)


def draw(settings: AugmentSettings, variant: int, count: int, height: int, width: int) -> Draws:
    """The changes of the round `variant` (from 0), drawn from a generator of their own."""
    generator = np.random.default_rng([settings.seed, variant])

    def around(middle: float, bound: float) -> np.ndarray:
        return generator.uniform(middle - bound, middle + bound, count)

    angle = np.radians(around(0, settings.rotation))
    right, down = around(0, settings.shift) * width, around(0, settings.shift) * height
    scale = around(1, settings.scale)
    brightness, contrast, saturation = (
        around(1, bound) for bound in (settings.brightness, settings.contrast, settings.saturation)
    )
    # Every second image in a round, and every second variant of an image.
    mirror = np.where(settings.flip & ((np.arange(count) + variant) % 2 == 0), -1.0, 1.0)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    matrices = np.empty((count, 2, 3))
    matrices[:, 0, 0], matrices[:, 0, 1] = mirror * cos, mirror * sin
    matrices[:, 1, 0], matrices[:, 1, 1] = -sin, cos
    matrices[:, :, 2] = -np.einsum("nij,nj->ni", matrices[:, :, :2], np.stack([right, down], axis=1))
    return Draws(matrices, brightness, contrast, saturation)


def changed(images: np.ndarray, draws: Draws) -> Iterator[np.ndarray]:
    """The variants of images uint8 (N, H, W, C), in parts. What lies outside an image is as its nearest edge."""
    _, height, width, channels = images.shape
    pad = _reach(draws.matrices, height, width)
    rows = max(1, CHUNK_BYTES // ((height + 2 * pad) * (width + 2 * pad) * channels))
    middle = np.array([width, height]) / 2
    # Pillow measures from the top left corner.
    offsets = draws.matrices[:, :, 2] - draws.matrices[:, :, :2] @ middle + middle + pad
    matrices = np.concatenate([draws.matrices[:, :, :2], offsets[:, :, None]], axis=2).reshape(-1, 6).tolist()
    for start in range(0, len(images), rows):
        part = np.pad(images[start : start + rows], ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")
        made = np.empty((len(part), height, width, channels), np.uint8)
        for row, image in enumerate(part):
            number = start + row
            picture = as_picture(image).transform(
                (width, height), Image.Transform.AFFINE, matrices[number], Image.Resampling.BILINEAR
            )
            made[row] = as_array(_lit(picture, draws, number))
        yield made


def _lit(picture: Image.Image, draws: Draws, number: int) -> Image.Image:
    for enhance, factors in (
        (ImageEnhance.Brightness, draws.brightness),
        (ImageEnhance.Contrast, draws.contrast),
        (ImageEnhance.Color, draws.saturation),
    ):
        if factors[number] != 1:
            picture = enhance(picture).enhance(factors[number])
    return picture


def _reach(matrices: np.ndarray, height: int, width: int) -> int:
    """How far, in pixels, a corner of a variant can lie outside its original, and one more for the interpolation."""
    corners = np.array([[x, y, 1] for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)])
    places = np.abs(matrices @ corners.T) - np.array([[width / 2], [height / 2]])
    return max(0, math.ceil(places.max())) + 1
