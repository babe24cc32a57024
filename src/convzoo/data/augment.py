"""Stored variants of train images: cropped, rotated, shifted, scaled, flipped, with other brightness and colours."""

import math
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from convzoo.data.arrays import load_split, open_images, write_images_header
from convzoo.data.contact_sheet import as_array, as_picture, contact_sheet, write_picture
from convzoo.data.manifest import digests, read_column, write_rows
from convzoo.errors import ConvzooError
from convzoo.files import new_folder
from convzoo.settings.data import AugmentSettings, NoVariants

COLUMNS = ("id", "original", "sha256", "label")
CHUNK_BYTES = 1 << 25  # of padded images in memory at a time
PREVIEW_PIXELS = 400_000  # of all images in preview.png, which then takes less than 1 MB even for photographs
ASPECTS = (3 / 4, 4 / 3)  # width to height of a crop (Szegedy et al. 2014, arXiv:1409.4842)
# Rows: luma and two axes of chroma from red, green and blue; both axes are 0 for a grey (NTSC, 1953).
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
MIRROR = np.array([[-1], [1]])


class AugmentError(ConvzooError):
    """Variants that cannot be computed as params.yaml says."""


class Transforms(NamedTuple):
    """The random transform of each of N images."""

    reach: int  # how far, in pixels, any variant goes beyond the edges of its original
    matrices: np.ndarray  # float64 (N, 2, 3): from a point in the variant to one in the original, from the centre
    brightness: np.ndarray  # float64 (N,), 1: unchanged
    contrast: np.ndarray  # likewise
    saturation: np.ndarray  # likewise
    hue: np.ndarray  # float64 (N,), 0: unchanged, 1: once around the colour circle

    def select(self, rows: slice) -> Self:
        """The transforms of some of the images."""
        return self._replace(**{name: getattr(self, name)[rows] for name in self._fields[1:]})


def augment(dataset: str, settings: AugmentSettings | NoVariants, train: Path, folder: Path) -> int:
    """Write the variants of the train split, their manifest and preview.png to `folder`; returns their number.

    The variants are stored in rounds, each in the order of the train split; more rounds do not change the earlier
    ones. At most CHUNK_BYTES of images are in memory. Raises AugmentError if variants would be copies, or cannot be
    computed.
    """
    (count, height, width, channels), labels, ids = _read_train(train)
    if settings.variants:
        _check_settings(dataset, settings, channels)
    # Spread over the whole split, which may be sorted by class.
    shown = np.linspace(0, count - 1, min(settings.pictured, count)).round().astype(np.int64)
    rounds = [[_images(train)[row].copy() for row in shown]]
    rows = []
    with new_folder(folder) as new:
        with (new / "images.npy").open("wb") as stream:
            write_images_header(stream, (settings.variants * count, height, width, channels))
            for variant in range(settings.variants):
                transforms = draw_transforms(settings, variant, count, height, width)
                rounds.append([])
                padded = (height + 2 * transforms.reach) * (width + 2 * transforms.reach) * channels
                step = max(1, CHUNK_BYTES // padded)
                for start in range(0, count, step):
                    chunk = slice(start, start + step)
                    variants = apply_transforms(_images(train)[chunk], transforms.select(chunk))
                    stream.write(variants.data)
                    for row, sha256 in enumerate(digests(variants), start):
                        rows.append((f"{ids[row]}-v{variant + 1}", ids[row], sha256, int(labels[row])))
                    rounds[-1] += [
                        variants[row - start].copy() for row in shown if start <= row < start + len(variants)
                    ]
        np.save(new / "labels.npy", np.tile(labels, settings.variants))
        write_rows(new / "manifest.csv", COLUMNS, rows)
        titles = ["originals", *(f"variants {n + 1}" for n in range(settings.variants))]
        write_picture(contact_sheet(_shrunk(rounds), titles), new / "preview.png")
    return len(rows)


def draw_transforms(settings: AugmentSettings, variant: int, count: int, height: int, width: int) -> Transforms:
    """Draw the transforms of the round `variant` (from 0), whose generators are seeded by its number."""
    generator = np.random.default_rng([settings.seed, variant])

    def uniform(middle: float, bound: float) -> np.ndarray:
        return generator.uniform(middle - bound, middle + bound, count)

    angle = np.radians(uniform(0, settings.rotation))
    right, down = uniform(0, settings.shift) * width, uniform(0, settings.shift) * height
    scale = uniform(1, settings.scale)
    brightness, contrast, saturation = (
        uniform(1, bound) for bound in (settings.brightness, settings.contrast, settings.saturation)
    )
    # Every second image of a round, and every second variant of an image.
    mirror = np.where(settings.flip & ((np.arange(count) + variant) % 2 == 0), -1.0, 1.0)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    matrices = np.empty((count, 2, 3))
    matrices[:, 0, 0], matrices[:, 0, 1] = mirror * cos, mirror * sin
    matrices[:, 1, 0], matrices[:, 1, 1] = -sin, cos
    matrices[:, :, 2] = -np.einsum("nij,nj->ni", matrices[:, :, :2], np.stack([right, down], axis=1))

    # Another generator, so that switching these on does not change an image's rotation.
    generator = np.random.default_rng([settings.seed, variant, 1])
    if settings.crop < 1:
        sides, middle = _random_crops(generator, settings.crop, count, height, width)
        matrices *= sides[:, :, None]
        matrices[:, :, 2] += middle
    hue = uniform(0, settings.hue) if settings.hue else np.zeros(count)
    return Transforms(_reach(matrices, height, width), matrices, brightness, contrast, saturation, hue)


def apply_transforms(images: np.ndarray, transforms: Transforms) -> np.ndarray:
    """The variants of images uint8 (N, H, W, C). Outside an image, its nearest edge is repeated."""
    mirrored = (transforms.matrices[:, 0, 0] < 0)[:, None, None, None]
    if (np.where(mirrored[..., 0], MIRROR, 1) * transforms.matrices == np.eye(2, 3)).all():  # nothing to interpolate
        moved = np.where(mirrored, images[:, :, ::-1], images)
    else:
        moved = _warp(images, transforms)
    factors = np.stack([transforms.brightness, transforms.contrast, transforms.saturation])
    if (factors == 1).all() and not transforms.hue.any():
        return moved
    return _jitter_grey(moved, transforms) if images.shape[3] == 1 else _jitter_colours(moved, transforms)


def _warp(images: np.ndarray, transforms: Transforms) -> np.ndarray:
    """Each image under its affine matrix, interpolated once."""
    _, height, width, _ = images.shape
    pad = transforms.reach
    middle = np.array([width, height]) / 2
    # Pillow's origin is the top left corner.
    offsets = transforms.matrices[:, :, 2] - transforms.matrices[:, :, :2] @ middle + middle + pad
    matrices = np.concatenate([transforms.matrices[:, :, :2], offsets[:, :, None]], axis=2).reshape(-1, 6).tolist()
    warped = np.empty(images.shape, np.uint8)
    for row, image in enumerate(np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")):
        picture = as_picture(image).transform(
            (width, height), Image.Transform.AFFINE, matrices[row], Image.Resampling.BILINEAR
        )
        warped[row] = as_array(picture)
    return warped


def _jitter_grey(images: np.ndarray, transforms: Transforms) -> np.ndarray:
    """Grey images with other brightness, which multiplies levels, and contrast, which scales them around the mean."""
    levels = np.arange(256)[:, None] * transforms.brightness * transforms.contrast + _offsets(
        _means(images)[:, 0], transforms
    )
    table = np.clip(np.floor(levels + 0.5), 0, 255).astype(np.uint8)
    return np.stack([table[:, row][image] for row, image in enumerate(images)])


def _jitter_colours(images: np.ndarray, transforms: Transforms) -> np.ndarray:
    """Colour images with other brightness, contrast, saturation and hue: one affine map per image, rounded once.

    Saturation scales a pixel around its grey; hue rotates the chroma plane, so that a pixel keeps its grey.
    """
    count = len(images)
    cos, sin = (transforms.saturation * part(2 * np.pi * transforms.hue) for part in (np.cos, np.sin))
    plane = np.zeros((count, 3, 3))
    plane[:, 0, 0] = 1
    plane[:, 1, 1], plane[:, 1, 2], plane[:, 2, 1], plane[:, 2, 2] = cos, -sin, sin, cos
    linear = np.linalg.inv(YIQ) @ plane @ YIQ * (transforms.brightness * transforms.contrast)[:, None, None]
    offsets = np.broadcast_to(_offsets(_means(images) @ YIQ[0], transforms)[:, None, None], (count, 3, 1))
    maps = np.concatenate([linear, offsets], axis=2).reshape(count, 12).tolist()
    jittered = np.empty_like(images)
    for row, image in enumerate(images):
        jittered[row] = as_array(as_picture(image).convert("RGB", tuple(maps[row])))
    return jittered


def _offsets(greys: np.ndarray, transforms: Transforms) -> np.ndarray:
    return (1 - transforms.contrast) * transforms.brightness * greys


def _means(images: np.ndarray) -> np.ndarray:
    """The mean of each channel (N, C), from whole numbers."""
    _, height, width, _ = images.shape
    return images.sum(axis=1, dtype=np.int64).sum(axis=1) / (height * width)


def _read_train(train: Path) -> tuple[tuple[int, ...], np.ndarray, list[str]]:
    """Shape of the images, labels and ids of the train split."""
    images, labels = load_split(train)
    ids = read_column(train / "manifest.csv", "id")
    if not len(ids) == len(labels) == len(images):
        raise AugmentError(
            f"{train}: has {len(images)} images, {len(labels)} labels and {len(ids)} rows in manifest.csv, "
            "expected as many of each; rebuild it: convzoo repro -f prepare"
        )
    return images.shape, labels, ids


def _check_settings(dataset: str, settings: AugmentSettings, channels: int) -> None:
    if settings.hue and channels == 1:
        raise AugmentError(f"{dataset}: its images have one channel and no hue: set data.{dataset}.augment.hue to 0")
    changes = settings.model_dump(exclude={"seed", "variants", "pictured"})
    if not any(value for name, value in changes.items() if name != "crop") and settings.crop == 1:
        raise AugmentError(
            f"{dataset}: variants would be copies: data.{dataset}.augment has variants: {settings.variants}, "
            f"but {', '.join(changes)} are all off; set one of them, or variants: 0"
        )


def _images(train: Path) -> np.ndarray:
    """The images, in a new memory map: what was read through an earlier map then no longer counts as memory."""
    return open_images(train)


def _random_crops(
    generator: np.random.Generator, least: float, count: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sides (N, 2) of crops, as shares of an image's width and height, and middles (N, 2), in pixels from its centre.

    Like torchvision's RandomResizedCrop, but in fractions of pixels and without retries: the aspect ratio is drawn
    from those with which a crop of the drawn area fits into the image.
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


def _shrunk(rounds: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    """The images, made smaller if together they have more than PREVIEW_PIXELS."""
    height, width, _ = rounds[0][0].shape
    factor = math.sqrt(PREVIEW_PIXELS / (height * width * sum(map(len, rounds))))
    if factor >= 1:
        return rounds
    size = (max(1, int(width * factor)), max(1, int(height * factor)))
    return [
        [as_array(as_picture(image).resize(size, Image.Resampling.LANCZOS)) for image in images] for images in rounds
    ]
