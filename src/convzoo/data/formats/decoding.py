"""A picture file to pixels: any mode, upright, in the size that is wanted."""

from io import BytesIO
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from convzoo.errors import ConvzooError

FORMATS = tuple(kind.format for kind in (JpegImageFile, PngImageFile, GifImageFile, WebPImageFile, BmpImageFile))
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
# Antialiased, and what ImageNet's backbones and the Frechet distance are measured with
# (https://arxiv.org/abs/2104.11222); half the work of LANCZOS, and fainter halos around edges.
FILTER = Image.Resampling.BICUBIC
DRAFT = 2  # a JPEG is decoded no smaller than so many times the size that is wanted


class UnreadableError(ConvzooError):
    """A file that is no picture, or not a whole one."""


class SizeError(ConvzooError):
    """A picture of a size that params.yaml does not allow."""


class Wanted(NamedTuple):
    """How every picture is to be."""

    height: int  # pixels
    width: int  # pixels
    channels: Literal[1, 3]
    resize: Literal["none", "crop", "pad", "stretch"]
    pixels: int  # a picture with more is refused before it is decoded


def decode(data: bytes, wanted: Wanted) -> np.ndarray:
    """The first frame of a picture file as uint8 (H, W, C): turned as its EXIF says, transparency over white.

    "crop" cuts the largest middle piece of the wanted shape and scales it, "pad" scales the whole picture and centres
    it on black, "stretch" scales each side for itself. Raises UnreadableError, and SizeError.
    """
    picture = _plain(_upright(_loaded(data, wanted)), "L" if wanted.channels == 1 else "RGB")
    if picture.size != (wanted.width, wanted.height):
        picture = _resized(picture, wanted)
    return np.asarray(picture).reshape(wanted.height, wanted.width, wanted.channels)


def _loaded(data: bytes, wanted: Wanted) -> Image.Image:
    try:
        picture = Image.open(BytesIO(data), formats=FORMATS)
        width, height = picture.size
        if width * height <= wanted.pixels:
            if wanted.resize != "none":
                side = DRAFT * max(wanted.height, wanted.width)
                picture.draft(None, (side, side))  # a JPEG decodes to a half, quarter or eighth much faster
            picture.load()
            return picture
    except UnidentifiedImageError:
        raise UnreadableError(f"is no {', '.join(FORMATS)} file" if data else "is empty") from None
    except Image.DecompressionBombError:
        raise SizeError(f"has more pixels than Pillow decodes, expected {wanted.pixels} at most; take it out") from None
    except MemoryError:  # says nothing of the file: it must not be dropped as unreadable
        raise SizeError(
            "does not fit into this machine's memory; end what else runs, or lower limits.pixels of its source"
        ) from None
    except Exception as error:  # a damaged file can bring Pillow to raise any kind
        raise UnreadableError(" ".join(str(error).split()) or type(error).__name__) from None
    raise SizeError(
        f"is {width} wide and {height} high, more than the allowed {wanted.pixels} pixels; "
        "if it is to be trusted, raise limits.pixels of its source in params.yaml"
    )


def _upright(picture: Image.Image) -> Image.Image:
    try:
        turn = TURNS.get(picture.getexif().get(ORIENTATION))
    except Exception:  # EXIF that cannot be read says nothing; the pixels are sound
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _plain(picture: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    """Eight bits a channel, without transparency."""
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip
        grey = np.asarray(picture).astype(np.uint32)
        picture = Image.fromarray(((grey + 128) // 257).astype(np.uint8))
    elif picture.has_transparency_data:
        picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture)
        picture = ground
    return picture if picture.mode == mode else picture.convert(mode)


def _resized(picture: Image.Image, wanted: Wanted) -> Image.Image:
    (width, height), size = picture.size, (wanted.width, wanted.height)
    if wanted.resize == "crop":
        scale = min(width / wanted.width, height / wanted.height)
        left, top = (width - wanted.width * scale) / 2, (height - wanted.height * scale) / 2
        return picture.resize(
            size, FILTER, (max(0, left), max(0, top), min(width, width - left), min(height, height - top))
        )
    if wanted.resize == "pad":
        scale = min(wanted.width / width, wanted.height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        ground = Image.new(picture.mode, size)
        ground.paste(picture.resize(inner, FILTER), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
        return ground
    if wanted.resize == "stretch":
        return picture.resize(size, FILTER)
    raise SizeError(
        f"is {width} wide and {height} high, expected {wanted.width} wide and {wanted.height} high; mend it, or set "
        "resize in params.yaml to crop (cuts the middle out), pad (adds black), or stretch"
    )
