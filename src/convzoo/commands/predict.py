"""Answers of an exported classifier on image files of any size and mode."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from convzoo.errors import ConvzooError
from convzoo.shipping.model import Model

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
KNOWN = ", ".join(sorted(SUFFIXES))
BATCH = 256


def predict(model_file: Path, paths: list[Path]) -> list[dict[str, str | float]]:
    """A row for each image in `paths`, files or folders: {file, class, probability}, or {file, error}.

    Raises ConvzooError for a model that gives no probabilities.
    """
    model = Model(model_file)
    classes = model.described.get("classes")
    if not classes or model.input.dtype != "uint8" or model.output.shape[1:] != (len(classes),):
        family = model.described.get("family", "file of another kind")
        raise ConvzooError(
            f"{model_file}: expected a classifier, got {model.input} to {model.output} (family: {family})"
        )
    height, width, channels = model.input.shape[1:]
    rows = []
    files = list(images_in(paths))
    for start in range(0, len(files), BATCH):
        pixels, read = [], []
        for file in files[start : start + BATCH]:
            row = {"file": str(file)}
            rows.append(row)
            try:
                pixels.append(read_image(file, height, width, channels))
                read.append(row)
            except ValueError as error:
                row["error"] = str(error)
        if read:
            probabilities = model(np.stack(pixels))
            for row, each in zip(read, probabilities, strict=True):
                best = int(each.argmax())
                row |= {"class": classes[best], "probability": round(float(each[best]), 6)}
    return rows


def images_in(paths: list[Path]) -> Iterator[Path]:
    """The files themselves, and what has the suffix of an image in the folders and below, sorted."""
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 (answers False where Path.is_dir raises, as for a name too long)
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            yield from found or [path]
        else:
            yield path


def read_image(file: Path, height: int, width: int, channels: int) -> np.ndarray:
    """The image as uint8 (height, width, channels): turned as EXIF says, on white where transparent, its middle cut out
    at the wanted proportions and resized. Raises ValueError, which says why, for what cannot be read.
    """
    if os.path.isdir(file):  # noqa: PTH112 (as in images_in)
        raise ValueError(f"the folder holds no images, expected {KNOWN}; name another one")
    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode == "F":
                raise ValueError("grey levels are floats of unknown scale; save it with 8 or 16 bits a pixel")
            if image.mode.startswith("I"):  # 16 bits a pixel and more
                image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if channels == 1 else "RGB")
            image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    except FileNotFoundError:
        raise ValueError("there is no such file, expected an image; look at the path") from None
    except UnidentifiedImageError:
        raise ValueError(f"is not an image that Pillow knows, expected {KNOWN}; save it as one of them") from None
    except Exception as error:  # a decoder may raise anything, and the other files shall be answered
        raise ValueError(f"cannot be read ({error}), expected a whole image; save it anew") from None
    return np.asarray(image).reshape(height, width, channels)
