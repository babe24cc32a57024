"""Reads image files of any size and mode as the pixels that a network takes."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
KNOWN = ", ".join(sorted(SUFFIXES))


def images_in(paths: Iterable[Path]) -> Iterator[Path]:
    """The files in `paths`, and the image files (by suffix) in its folders and their subfolders, sorted.

    A folder without images is returned itself, so that it can be reported.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 (returns False where Path.is_dir raises, as for a name too long)
            files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            yield from files or [path]
        else:
            yield path


def read_images(
    files: Iterable[Path], height: int, width: int, channels: int
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Read images as `read_image` does.

    Returns a row per file, {file} or {file, error}, and the images of the rows without an error, uint8 (N, height,
    width, channels).
    """
    rows, images = [], []
    for file in files:
        row = {"file": str(file)}
        rows.append(row)
        try:
            images.append(read_image(file, height, width, channels))
        except ValueError as error:
            row["error"] = str(error)
    return rows, np.array(images, np.uint8).reshape(-1, height, width, channels)


def read_image(file: Path, height: int, width: int, channels: int) -> np.ndarray:
    """Read an image as uint8 (height, width, channels): rotated as its EXIF data says, with transparency over white,
    centre-cropped to the aspect ratio and resized. Raises ValueError with the reason if it cannot be read.
    """
    if os.path.isdir(file):  # noqa: PTH112 (as in images_in)
        raise ValueError(f"the folder contains no images, expected {KNOWN}; choose another folder")
    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode == "F":
                raise ValueError("grey levels are floats of unknown scale; save it with 8 or 16 bits per pixel")
            if image.mode.startswith("I"):  # 16 bits per pixel and more
                image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if channels == 1 else "RGB")
            image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    except FileNotFoundError:
        raise ValueError("file not found, expected an image; check the path") from None
    except UnidentifiedImageError:
        raise ValueError(f"not an image that Pillow can read, expected {KNOWN}; convert it to one of them") from None
    except Exception as error:  # a decoder can raise anything, and the other files must still be read
        raise ValueError(f"cannot be read ({error}), expected a complete image; save it again") from None
    return np.asarray(image).reshape(height, width, channels)
