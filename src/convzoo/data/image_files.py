"""Reads image files of any size and mode as the images that a network was trained on were prepared."""

import os
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from convzoo.data.formats.decoding import OtherSizeError, PictureFormat, SizeError, UnreadableError, decode
from convzoo.data.image_formats import NAMES, is_image_name

MOST_PIXELS = 2 * Image.MAX_IMAGE_PIXELS  # of an image; Pillow decodes no more


def images_in(paths: Iterable[Path]) -> Iterator[Path]:
    """The files in `paths`, and the image files (by ending) in its folders and their subfolders, sorted.

    A folder without images is returned itself, so that it can be reported.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 (returns False where Path.is_dir raises, as for a name too long)
            files = sorted(file for file in path.rglob("*") if is_image_name(file.name) and file.is_file())
            yield from files or [path]
        else:
            yield path


class ImageReader:
    """Reads image files as uint8 (height, width, channels), by the same function as the stage `prepare`.

    `resize` says how other sizes are brought to this one, as in params.yaml; with "none", for which `prepare` accepts
    no other size, the centre is cropped. None is for exported files that do not say how their images were resized.
    """

    def __init__(self, height: int, width: int, channels: int, resize: str | None) -> None:
        self.shape, self.resize = (height, width, channels), resize
        self.target = PictureFormat(height, width, channels, resize or "crop", MOST_PIXELS, "scale it down")
        self.cropped = 0  # images of another size that were cropped, though no such image was trained on

    def read(self, files: Iterable[Path]) -> tuple[list[dict[str, Any]], np.ndarray]:
        """Read images.

        Returns a row per file, {file} or {file, error}, and the images of the rows without an error, uint8 (N, height,
        width, channels).
        """
        rows, images = [], []
        for file in files:
            row = {"file": str(file)}
            rows.append(row)
            try:
                images.append(self._image(file))
            except ValueError as error:
                row["error"] = str(error)
        return rows, np.array(images, np.uint8).reshape(-1, *self.shape)

    def notes(self) -> list[str]:
        """What to tell the user about the images that were read."""
        height, width, _ = self.shape
        size = f"{width} wide and {height} high"
        if self.resize is None:
            return [
                f"warning: the exported file does not say how its images were resized: other sizes than {size} are "
                "cropped to the centre and resampled with Lanczos; export and register it again: convzoo repro"
            ]
        if self.cropped:
            return [
                f"note: {self.cropped} image{'s are' if self.cropped > 1 else ' is'} not {size}: the centre was "
                "cropped and scaled; the network was trained on images of that size only (resize: none)"
            ]
        return []

    def _image(self, file: Path) -> np.ndarray:
        """One image. Raises ValueError with the reason if it cannot be read."""
        if os.path.isdir(file):  # noqa: PTH112 (as in images_in)
            raise ValueError(f"the folder contains no images, expected {NAMES}; choose another folder")
        if self.resize is None:
            return _read_as_before(file, self.target)
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            raise ValueError("file not found, expected an image; check the path") from None
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            reason = error.strerror if isinstance(error, OSError) else error
            raise ValueError(f"cannot be read ({reason}), expected an image; check the path and its rights") from None
        return self.image(data)

    def image(self, data: bytes) -> np.ndarray:
        """The image in the bytes of a file. Raises ValueError with the reason if it cannot be read."""
        if self.resize is None:
            return _read_as_before(BytesIO(data), self.target)
        try:
            try:
                return decode(data, self.target)
            except OtherSizeError:
                image = decode(data, self.target._replace(resize="crop"))
                self.cropped += 1
                return image
        except UnreadableError as error:
            if str(error).startswith("is not one of "):
                raise ValueError(
                    f"is not an image that can be read, expected {NAMES}; save it as one of these"
                ) from None
            reason = str(error) if str(error).startswith("is ") else f"cannot be read ({error})"
            raise ValueError(f"{reason}, expected a complete image ({NAMES}); save it again as one of these") from None
        except SizeError as error:
            raise ValueError(str(error)) from None


def _read_as_before(file: Path | BytesIO, target: PictureFormat) -> np.ndarray:
    """Read an image as every exported file got it that does not say how its images were resized."""
    try:
        with Image.open(file) as opened:
            if opened.width * opened.height > target.pixels:
                raise ValueError(f"more than the allowed {target.pixels} pixels")
            image = ImageOps.exif_transpose(opened)
            if image.mode == "F":
                raise ValueError("grey levels are floats of unknown scale; save it with 8 or 16 bits per pixel")
            if image.mode.startswith("I"):  # 16 bits per pixel and more
                image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if target.channels == 1 else "RGB")
            image = ImageOps.fit(image, (target.width, target.height), Image.Resampling.LANCZOS)
    except FileNotFoundError:
        raise ValueError("file not found, expected an image; check the path") from None
    except UnidentifiedImageError:
        raise ValueError(f"is not an image that can be read, expected {NAMES}; save it as one of these") from None
    except Exception as error:  # a decoder can raise anything, and the other files must still be read
        raise ValueError(f"cannot be read ({error}), expected a complete image; save it again") from None
    return np.asarray(image).reshape(target.height, target.width, target.channels)
