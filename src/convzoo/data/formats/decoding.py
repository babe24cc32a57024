"""Decodes picture files of any mode to pixels, upright and in the size that the settings ask for."""

from io import BytesIO
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from convzoo.data.image_formats import FORMATS, NAMES
from convzoo.errors import ConvzooError

ORIENTATION = 0x0112  # https://exiftool.org/TagNames/EXIF.html
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Antialiased, and the usual filter for evaluating ImageNet's backbones and the Frechet distance
# (https://arxiv.org/abs/2104.11222); half the work of LANCZOS, and fainter halos around edges.
FILTER = Image.Resampling.BICUBIC
DRAFT = 2  # a JPEG is decoded at no less than this multiple of the target size


class UnreadableError(ConvzooError):
    """A file that is not a picture, or is incomplete."""


class SizeError(ConvzooError):
    """An intact picture whose size or grey levels cannot be converted."""


class OtherSizeError(SizeError):
    """A picture of another size than the target's, with `resize: none`."""


class PictureFormat(NamedTuple):
    """The size and mode that every picture is converted to."""

    height: int  # pixels
    width: int  # pixels
    channels: Literal[1, 3]
    resize: Literal["none", "crop", "pad", "stretch"]
    pixels: int  # a picture with more is refused before it is decoded
    remedy: str  # what to do about such a picture


def decode(data: bytes, target: PictureFormat) -> np.ndarray:
    """The first frame of a picture file as uint8 (H, W, C): rotated as its EXIF data says, transparency over white.

    "crop" scales the largest centred crop of the target's aspect ratio, "pad" scales the whole picture and centres it
    on black, "stretch" scales each side independently, "none" takes no other size. Raises UnreadableError, and
    SizeError.
    """
    picture = _converted(_upright(_load(data, target)), "L" if target.channels == 1 else "RGB")
    if picture.size != (target.width, target.height):
        picture = _resize(picture, target)
    return np.asarray(picture).reshape(target.height, target.width, target.channels)


def _load(data: bytes, target: PictureFormat) -> Image.Image:
    try:
        picture = Image.open(BytesIO(data), formats=list(FORMATS))
        width, height = picture.size
        if width * height <= target.pixels:
            if target.resize != "none":
                side = DRAFT * max(target.height, target.width)
                picture.draft(None, (side, side))  # a JPEG decodes to a half, quarter or eighth much faster
            picture.load()
            _check_grey_levels(picture)
            return picture
    except SizeError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError(f"is not one of {NAMES}" if data else "is empty") from None
    except Image.DecompressionBombError:
        raise SizeError(f"has more pixels than Pillow decodes, expected {target.pixels} at most; take it out") from None
    except MemoryError:  # the file may be intact: it must not be dropped as unreadable
        raise SizeError(
            f"does not fit into this machine's memory, expected {target.pixels} pixels at most; close other programs, "
            "or make the picture smaller"
        ) from None
    except Exception as error:  # a damaged file can make Pillow raise any exception
        raise UnreadableError(" ".join(str(error).split()) or type(error).__name__) from None
    raise SizeError(f"is {width} wide and {height} high, more than the allowed {target.pixels} pixels; {target.remedy}")


def _check_grey_levels(picture: Image.Image) -> None:
    """Raise SizeError for grey levels whose black and white the file does not say."""
    if picture.mode == "F" or (picture.mode == "I" and picture.format != "PPM"):  # Pillow scales PPM to 16 bits
        kind = "floats" if picture.mode == "F" else "whole numbers of 32 bits"
        raise SizeError(f"has grey levels that are {kind} of unknown scale; save it with 8 or 16 bits per pixel")


def _upright(picture: Image.Image) -> Image.Image:
    try:
        turn = TURNS.get(picture.getexif().get(ORIENTATION))
    except Exception:  # unreadable EXIF data is ignored; the pixels are intact
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _converted(picture: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    """The picture with eight bits per channel, without transparency."""
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow would clip
        grey = np.asarray(picture).astype(np.uint32)
        picture = Image.fromarray(((grey + 128) // 257).astype(np.uint8))
    elif picture.has_transparency_data:
        picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture)
        picture = ground
    return picture if picture.mode == mode else picture.convert(mode)


def _resize(picture: Image.Image, target: PictureFormat) -> Image.Image:
    (width, height), size = picture.size, (target.width, target.height)
    if target.resize == "crop":
        scale = min(width / target.width, height / target.height)
        left, top = (width - target.width * scale) / 2, (height - target.height * scale) / 2
        return picture.resize(
            size, FILTER, (max(0, left), max(0, top), min(width, width - left), min(height, height - top))
        )
    if target.resize == "pad":
        scale = min(target.width / width, target.height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        ground = Image.new(picture.mode, size)
        ground.paste(picture.resize(inner, FILTER), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
        return ground
    if target.resize == "stretch":
        return picture.resize(size, FILTER)
    raise OtherSizeError(
        f"is {width} wide and {height} high, expected {target.width} wide and {target.height} high; set resize in "
        "params.yaml to crop (cuts the middle out), pad (adds black) or stretch, or take the picture out"
    )
