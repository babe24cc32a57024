"""Operations on pictures, which stages read, resample, draw and write: Pillow, Matplotlib, the drawn data sets."""

import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from convzoo.bits.inputs import floats, integers, pixels
from convzoo.data.augment import apply_transforms, draw_transforms
from convzoo.data.contact_sheet import contact_sheet, in_rows
from convzoo.data.formats.decoding import PictureFormat, decode
from convzoo.data.sources.synthetic import DRAWINGS
from convzoo.families.dcgan.pictures import animation, titled
from convzoo.plots import BLUE, picture
from convzoo.settings.data import AugmentSettings

Operation = Callable[[], list[np.ndarray]]
PHOTO = pixels(1, 227, 3)[0]


def _bytes(content: bytes) -> list[np.ndarray]:
    return [np.frombuffer(content, np.uint8)]


def _saved(image: Image.Image, kind: str, **options: int | bool) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _photo(resize: str = "crop", side: int = 96) -> PictureFormat:
    return PictureFormat(side, side, 3, resize, 10**6, "")


def _encoded(kind: str, **options: int | bool) -> list[np.ndarray]:
    return _bytes(_saved(Image.fromarray(PHOTO), kind, **options))


def _decoded(kind: str, side: int, **options: int | bool) -> list[np.ndarray]:
    return [decode(_saved(Image.fromarray(PHOTO), kind, **options), _photo(side=side))]


def _resampled() -> list[np.ndarray]:
    content = _saved(Image.fromarray(PHOTO[:180]), "PNG")
    return [decode(content, _photo(resize, side)) for resize in ("crop", "pad", "stretch") for side in (64, 96, 300)]


def _variants(side: int, channels: int) -> list[np.ndarray]:
    settings = AugmentSettings(
        seed=0,
        variants=1,
        rotation=15,
        shift=0.1,
        scale=0.1,
        crop=0.5,
        flip=True,
        brightness=0.1,
        contrast=0.1,
        saturation=0.1,
        hue=0.03,
        pictured=1,
    )
    transforms = draw_transforms(settings, 0, 20, side, side)
    return [transforms.matrices, apply_transforms(pixels(20, side, channels), transforms)]


def _drawn(name: str) -> list[np.ndarray]:
    drawing = DRAWINGS[name]
    labels = np.arange(drawing.chunk) % max(1, len(drawing.classes))
    return [drawing.draw(labels, np.random.default_rng([0, 1]))]


def _sheet() -> Image.Image:
    return contact_sheet(in_rows(pixels(12, 32, 3), 4), ["one", "two", "three"])


def _gif() -> list[np.ndarray]:
    grids = [pixels(6, 28, 1, seed=seed).reshape(2, 3, 28, 28, 1) for seed in range(4)]
    return _bytes(animation([titled(grid, f"epoch {number}") for number, grid in enumerate(grids)]))


def _plot() -> list[np.ndarray]:
    with tempfile.TemporaryDirectory(prefix="convzoo-") as folder:
        with picture(Path(folder, "plot.png"), 5, 4) as figure:
            axes = figure.subplots()
            axes.plot(floats(40), color=BLUE, label="a line")
            axes.scatter(floats(40, low=0, high=40), floats(40, seed=1), s=9, alpha=0.6)
            axes.imshow(integers(6, 6, below=9), extent=(5, 15, -0.5, 0.5), aspect="auto")
            axes.set(title="A plot", xlabel="step", ylabel="value")
            axes.legend()
        return _bytes(Path(folder, "plot.png").read_bytes())


OPERATIONS: dict[str, Operation] = {
    "drawn shapes of ten kinds": partial(_drawn, "shapes10"),
    "drawn shapes of a hundred kinds": partial(_drawn, "shapes100"),
    "drawn faces": partial(_drawn, "faces"),
    "drawn flowers": partial(_drawn, "flowers"),
    "variants 28x28, grey": partial(_variants, 28, 1),
    "variants 96x96, colours": partial(_variants, 96, 3),
    "Pillow resampling": _resampled,
    "JPEG written": partial(_encoded, "JPEG", quality=90),
    "JPEG read": partial(_decoded, "JPEG", 227, quality=90),
    "JPEG read at half size": partial(_decoded, "JPEG", 48, quality=90),
    "WebP read": partial(_decoded, "WEBP", 227, quality=80),
    "WebP read, without loss": partial(_decoded, "WEBP", 227, lossless=True),
    "PNG written": lambda: _bytes(_saved(_sheet(), "PNG", optimize=True)),
    "contact sheet": lambda: [np.asarray(_sheet())],
    "GIF written": _gif,
    "Matplotlib plot": _plot,
}
