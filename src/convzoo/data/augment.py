"""Stored variants of train images: cut out, turned, shifted, scaled, mirrored, and with other light and colours."""

import csv
import math
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from convzoo.data.arrays import load_split
from convzoo.data.contact_sheet import as_array, as_picture, contact_sheet, write_picture
from convzoo.data.manifest import digests, write_rows
from convzoo.errors import ConvzooError
from convzoo.files import new_folder
from convzoo.settings.data import AugmentSettings, NoVariants

COLUMNS = ("id", "original", "sha256", "label")
CHUNK_BYTES = 1 << 25  # padded images that are in memory at a time
PREVIEW_PIXELS = 400_000  # of all images in the before and after picture: photographs then take less than 1 MB
ASPECTS = (3 / 4, 4 / 3)  # of what is cut out, width to height (Szegedy et al. 2014, arXiv:1409.4842)
# Grey and two axes of colour, of red, green and blue; only the first is not 0 for a grey (NTSC, 1953).
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
MIRROR = np.array([[-1], [1]])


class AugmentError(ConvzooError):
    """Variants cannot be made as params.yaml says."""


class Draws(NamedTuple):
    """What is done to each of N images."""

    reach: int  # how far, in pixels, any variant goes beyond the edges of its original
    matrices: np.ndarray  # float64 (N, 2, 3): from a place in the variant to the place in the original, from the centre
    brightness: np.ndarray  # float64 (N,), 1 leaves an image as it is; so the next two
    contrast: np.ndarray
    saturation: np.ndarray
    hue: np.ndarray  # float64 (N,), 0 leaves an image as it is, 1 is once round the colour circle

    def of(self, rows: slice) -> Self:
        """The draws of some of the images."""
        return self._replace(**{name: getattr(self, name)[rows] for name in self._fields[1:]})


def augment(dataset: str, settings: AugmentSettings | NoVariants, train: Path, folder: Path) -> int:
    """Write the variants of the train split, their manifest and a picture to `folder`; their number is returned.

    The variants stand one round after another, each round in the order of the train split; more rounds leave the
    earlier ones as they are. However many images there are, CHUNK_BYTES of them are in memory. Raises AugmentError
    where variants would be copies, or cannot be made.
    """
    (count, height, width, channels), labels, ids = _describe(train)
    if settings.variants:
        _check(dataset, settings, channels)
    # Spread over the whole split, which may be sorted by class.
    shown = np.linspace(0, count - 1, min(settings.pictured, count)).round().astype(np.int64)
    rounds = [[_images(train)[row].copy() for row in shown]]
    rows = []
    with new_folder(folder) as new:
        with (new / "images.npy").open("wb") as stream:
            shape = (settings.variants * count, height, width, channels)
            np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for variant in range(settings.variants):
                draws = draw(settings, variant, count, height, width)
                rounds.append([])
                step = max(1, CHUNK_BYTES // ((height + 2 * draws.reach) * (width + 2 * draws.reach) * channels))
                for start in range(0, count, step):
                    part = slice(start, start + step)
                    made = changed(_images(train)[part], draws.of(part))
                    stream.write(made.data)
                    for row, sha256 in enumerate(digests(made), start):
                        rows.append((f"{ids[row]}-v{variant + 1}", ids[row], sha256, int(labels[row])))
                    rounds[-1] += [made[row - start].copy() for row in shown if start <= row < start + len(made)]
        np.save(new / "labels.npy", np.tile(labels, settings.variants))
        write_rows(new / "manifest.csv", COLUMNS, rows)
        titles = ["originals", *(f"variants {n + 1}" for n in range(settings.variants))]
        write_picture(contact_sheet(_reduced(rounds), titles), new / "preview.png")
    return len(rows)


def draw(settings: AugmentSettings, variant: int, count: int, height: int, width: int) -> Draws:
    """The changes of the round `variant` (from 0), drawn from generators of their own."""
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

    # Another generator: an image's turn stays what it was when these are switched on.
    generator = np.random.default_rng([settings.seed, variant, 1])
    if settings.crop < 1:
        sides, middle = _cut_out(generator, settings.crop, count, height, width)
        matrices *= sides[:, :, None]
        matrices[:, :, 2] += middle
    hue = around(0, settings.hue) if settings.hue else np.zeros(count)
    return Draws(_reach(matrices, height, width), matrices, brightness, contrast, saturation, hue)


def changed(images: np.ndarray, draws: Draws) -> np.ndarray:
    """The variants of images uint8 (N, H, W, C). What lies outside an image is as its nearest edge."""
    mirrored = (draws.matrices[:, 0, 0] < 0)[:, None, None, None]
    if (np.where(mirrored[..., 0], MIRROR, 1) * draws.matrices == np.eye(2, 3)).all():  # nothing to interpolate
        made = np.where(mirrored, images[:, :, ::-1], images)
    else:
        made = _moved(images, draws)
    factors = np.stack([draws.brightness, draws.contrast, draws.saturation])
    if (factors == 1).all() and not draws.hue.any():
        return made
    return _lit(made, draws) if images.shape[3] == 1 else _coloured(made, draws)


def _moved(images: np.ndarray, draws: Draws) -> np.ndarray:
    """Each image under its matrix, interpolated once."""
    _, height, width, _ = images.shape
    pad = draws.reach
    middle = np.array([width, height]) / 2
    # Pillow measures from the top left corner.
    offsets = draws.matrices[:, :, 2] - draws.matrices[:, :, :2] @ middle + middle + pad
    matrices = np.concatenate([draws.matrices[:, :, :2], offsets[:, :, None]], axis=2).reshape(-1, 6).tolist()
    made = np.empty(images.shape, np.uint8)
    for row, image in enumerate(np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")):
        picture = as_picture(image).transform(
            (width, height), Image.Transform.AFFINE, matrices[row], Image.Resampling.BILINEAR
        )
        made[row] = as_array(picture)
    return made


def _lit(images: np.ndarray, draws: Draws) -> np.ndarray:
    """Grey images with other brightness, which multiplies, and contrast, which spreads around the mean."""
    levels = np.arange(256)[:, None] * draws.brightness * draws.contrast + _offsets(_means(images)[:, 0], draws)
    table = np.clip(np.floor(levels + 0.5), 0, 255).astype(np.uint8)
    return np.stack([table[:, row][image] for row, image in enumerate(images)])


def _coloured(images: np.ndarray, draws: Draws) -> np.ndarray:
    """Colour images with other light, saturation and hue: one linear map of a pixel, which is rounded once.

    Saturation spreads a pixel around its own grey; hue turns the plane of colours, so that a pixel keeps its grey.
    """
    count = len(images)
    cos, sin = (draws.saturation * part(2 * np.pi * draws.hue) for part in (np.cos, np.sin))
    plane = np.zeros((count, 3, 3))
    plane[:, 0, 0] = 1
    plane[:, 1, 1], plane[:, 1, 2], plane[:, 2, 1], plane[:, 2, 2] = cos, -sin, sin, cos
    linear = np.linalg.inv(YIQ) @ plane @ YIQ * (draws.brightness * draws.contrast)[:, None, None]
    offsets = np.broadcast_to(_offsets(_means(images) @ YIQ[0], draws)[:, None, None], (count, 3, 1))
    maps = np.concatenate([linear, offsets], axis=2).reshape(count, 12).tolist()
    made = np.empty_like(images)
    for row, image in enumerate(images):
        made[row] = as_array(as_picture(image).convert("RGB", tuple(maps[row])))
    return made


def _offsets(greys: np.ndarray, draws: Draws) -> np.ndarray:
    return (1 - draws.contrast) * draws.brightness * greys


def _means(images: np.ndarray) -> np.ndarray:
    """The mean of each channel (N, C), from whole numbers."""
    _, height, width, _ = images.shape
    return images.sum(axis=1, dtype=np.int64).sum(axis=1) / (height * width)


def _describe(train: Path) -> tuple[tuple[int, ...], np.ndarray, list[str]]:
    """Shape of the images, labels and ids of the train split."""
    images, labels = load_split(train)
    with (train / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        ids = [row["id"] for row in csv.DictReader(stream)]
    if not len(ids) == len(labels) == len(images):
        raise AugmentError(
            f"{train}: has {len(images)} images, {len(labels)} labels and {len(ids)} rows in manifest.csv, "
            "expected as many of each; make it again: dvc repro -f prepare"
        )
    return images.shape, labels, ids


def _check(dataset: str, settings: AugmentSettings, channels: int) -> None:
    if settings.hue and channels == 1:
        raise AugmentError(f"{dataset}: its images have one channel and no hue: set data.{dataset}.augment.hue to 0")
    changes = settings.model_dump(exclude={"seed", "variants", "pictured"})
    if not any(value for name, value in changes.items() if name != "crop") and settings.crop == 1:
        raise AugmentError(
            f"{dataset}: variants would be copies: data.{dataset}.augment has variants: {settings.variants}, "
            f"but {', '.join(changes)} are all off; set one of them, or variants: 0"
        )


def _images(train: Path) -> np.ndarray:
    """The images, mapped anew: what was read through an earlier map then no longer counts as memory."""
    return np.load(train / "images.npy", mmap_mode="r")


def _cut_out(
    generator: np.random.Generator, least: float, count: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sides (N, 2), as shares of an image's width and height, and middles (N, 2), in pixels from its centre.

    As torchvision's RandomResizedCrop, but in parts of pixels, and with no second try: the aspect is drawn from those
    with which a cut-out of the drawn area fits.
    """
    area = generator.uniform(least, 1, count)
    narrowest, widest = area * width / height, width / height / area
    low, high = (np.log(np.clip(aspect, narrowest, widest)) for aspect in ASPECTS)
    aspect = np.exp(generator.uniform(low, high))
    across = np.minimum(np.sqrt(area * aspect * height / width), 1)
    sides = np.stack([across, np.minimum(area / across, 1)], axis=1)
    return sides, generator.uniform(-0.5, 0.5, (count, 2)) * (1 - sides) * [width, height]


def _reach(matrices: np.ndarray, height: int, width: int) -> int:
    """How far, in pixels, a corner of a variant can lie outside its original, and one more for the interpolation."""
    corners = np.array([[x, y, 1] for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)])
    places = np.abs(matrices @ corners.T) - np.array([[width / 2], [height / 2]])
    return max(0, math.ceil(places.max())) + 1


def _reduced(rounds: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    """The images no larger than the picture has room for."""
    height, width, _ = rounds[0][0].shape
    factor = math.sqrt(PREVIEW_PIXELS / (height * width * sum(map(len, rounds))))
    if factor >= 1:
        return rounds
    size = (max(1, int(width * factor)), max(1, int(height * factor)))
    return [
        [as_array(as_picture(image).resize(size, Image.Resampling.LANCZOS)) for image in images] for images in rounds
    ]
