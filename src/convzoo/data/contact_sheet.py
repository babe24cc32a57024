"""Contact sheets: images side by side, enlarged so that you can see the pixels, with titles and captions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convzoo.text import drawable

TILE = 64  # pixels that a small image is enlarged to, at most
GAP = 6  # pixels
FONT_SIZE = 12  # pixels
LINE = 16  # pixels
BACKGROUND, INK = "white", "#333333"


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
) -> Image.Image:
    """One RGB picture of rows of images, each uint8 (H, W, 1 or 3) and all of one size.

    A title stands above its row, a caption (lines separated by newlines) below its image. Raises ValueError for no
    images, images of different sizes, and titles or captions that do not fit the rows.
    """
    shapes = {image.shape for row in rows for image in row}
    if len(shapes) != 1:
        raise ValueError(f"expected images of one shape, got {sorted(shapes) or 'none'}")
    if titles and len(titles) != len(rows):
        raise ValueError(f"expected {len(rows)} titles, one per row, got {len(titles)}")
    if captions and [len(row) for row in captions] != [len(row) for row in rows]:
        raise ValueError("expected a caption for each image")
    height, width, _ = shapes.pop()
    factor = max(1, TILE // max(height, width))
    height, width = height * factor, width * factor

    font = ImageFont.load_default(FONT_SIZE)
    titles = [_drawable(font, title) for title in titles]
    captions = [[_drawable(font, caption) for caption in row] for row in captions]
    blocks = [text.splitlines() for row in captions for text in row]
    caption_width = max((_width(font, line) for block in blocks for line in block), default=0)
    caption_height = LINE * max(map(len, blocks), default=0)
    title_width = max((_width(font, title) for title in titles), default=0)
    title_height = LINE if titles else 0
    step = max(width, caption_width) + GAP
    row_height = title_height + height + caption_height + GAP
    sheet_width = max(max(map(len, rows)) * step, title_width + GAP)
    sheet = Image.new("RGB", (sheet_width + GAP, len(rows) * row_height + GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        top = GAP + number * row_height
        if titles:
            draw.text((GAP, top), titles[number], fill=INK, font=font)
        for column, image in enumerate(row):
            left = GAP + column * step
            tile = as_picture(image).convert("RGB").resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(tile, (left, top + title_height))
            if captions:
                place = (left, top + title_height + height)
                draw.multiline_text(place, captions[number][column], fill=INK, font=font)
    return sheet


def in_rows(images: Sequence[np.ndarray], columns: int) -> list[Sequence[np.ndarray]]:
    """Images in rows of `columns`, the last one shorter, as `contact_sheet` takes them."""
    return [images[start : start + columns] for start in range(0, len(images), columns)]


def as_picture(image: np.ndarray) -> Image.Image:
    """An image uint8 (H, W, 1 or 3) as Pillow's, in mode L or RGB."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def as_array(picture: Image.Image) -> np.ndarray:
    """A Pillow image in mode L or RGB as uint8 (H, W, 1 or 3)."""
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array


def write_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG file without metadata."""
    picture.save(path, format="PNG", optimize=True)


def _drawable(font: ImageFont.FreeTypeFont, text: str) -> str:
    missing = bytes(font.getmask("\uffff"))
    return drawable(text, lambda letter: letter.isspace() or bytes(font.getmask(letter)) != missing)


def _width(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> int:
    return int(font.getlength(text)) + 1
