"""What comes of a picture file: any mode, turned upright, in the wanted size."""

import io

import numpy as np
import pytest
from helpers.raw_sets import encoded, noise
from PIL import Image, ImageDraw
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngInfo

from convzoo.data.formats.decoding import PictureFormat, SizeError, UnreadableError, decode


def wanted(height=8, width=8, channels=3, resize="none", pixels=100_000):
    return PictureFormat(height, width, channels, resize, pixels, "raise limits.pixels")


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
PICTURE = noise(1, 8, 8, 3)[0]
CLEAR = np.dstack([PICTURE, np.where(np.arange(64).reshape(8, 8) % 2, 255, 0).astype(np.uint8)])
OVER_WHITE = np.where(CLEAR[..., 3:] == 255, PICTURE, 255)
LIGHT = np.where(CLEAR[..., 3] == 255, GREY, 255)
BITS = Image.fromarray(GREY > 100)
PALETTE = Image.fromarray(PICTURE).quantize(16)
CLEAR_PALETTE = PALETTE.copy()
CLEAR_PALETTE.info["transparency"] = 3
CLEAR_COLOURS = np.where((np.asarray(PALETTE) == 3)[..., None], 255, np.asarray(PALETTE.convert("RGB")))
DEEP = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)


def thrice(grey):
    return np.dstack([grey] * 3)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(encoded(PICTURE), PICTURE, id="RGB"),
        pytest.param(encoded(PICTURE, "BMP"), PICTURE, id="BMP"),
        pytest.param(encoded(PICTURE, "WEBP", lossless=True), PICTURE, id="WebP"),
        pytest.param(encoded(GREY), thrice(GREY), id="L"),
        pytest.param(encoded(BITS), thrice(255 * (GREY > 100).astype(np.uint8)), id="1"),
        pytest.param(encoded(DEEP), thrice(np.round(DEEP / 257).astype(np.uint8)), id="I;16"),
        pytest.param(encoded(CLEAR), OVER_WHITE, id="RGBA"),
        pytest.param(encoded(np.dstack([GREY, CLEAR[..., 3]])), thrice(LIGHT), id="LA"),
        pytest.param(encoded(CLEAR, "WEBP", lossless=True, exact=True), OVER_WHITE, id="WebP RGBA"),
        pytest.param(encoded(PALETTE), np.asarray(PALETTE.convert("RGB")), id="P"),
        pytest.param(encoded(PALETTE, "GIF"), np.asarray(PALETTE.convert("RGB")), id="GIF"),
        pytest.param(encoded(CLEAR_PALETTE, transparency=3), CLEAR_COLOURS, id="P with transparency"),
        pytest.param(encoded(CLEAR_PALETTE, "GIF", transparency=3), CLEAR_COLOURS, id="GIF with transparency"),
        pytest.param(encoded(GREY, transparency=8), thrice(np.where(GREY == 8, 255, GREY)), id="L with transparency"),
    ],
)
def test_any_mode_becomes_colours_over_white(data, expected):
    np.testing.assert_array_equal(decode(data, wanted()), expected)
    (grey,) = np.moveaxis(decode(data, wanted(channels=1)), -1, 0)
    assert np.abs(grey - expected @ [0.299, 0.587, 0.114]).max() < 1.5


def test_only_the_first_frame_counts():
    frames = [Image.fromarray(image) for image in noise(3, 8, 8, 3)]
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(decode(data, wanted()), noise(3, 8, 8, 3)[0])


def test_cmyk_becomes_colours():
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100)
    np.testing.assert_allclose(decode(data, wanted()).reshape(-1, 3), [[255, 0, 0]] * 64, atol=2)


def turned(orientation):
    """A picture 12 wide and 8 high with a white corner at its top left, stored as a camera held otherwise would."""
    picture = Image.new("RGB", (12, 8))
    ImageDraw.Draw(picture).rectangle((0, 0, 5, 3), fill="white")
    backwards = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # of Image.Transpose
    for turn in backwards.get(orientation, []):
        picture = picture.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return picture, exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_stands_as_its_exif_says(orientation, kind):
    picture, exif = turned(orientation)
    found = decode(encoded(picture, kind, exif=exif, quality=100), wanted(8, 12))
    np.testing.assert_allclose(found, np.asarray(turned(1)[0]), atol=40)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"MM\0\x2a\xff\xff\xff\xff" + b"\xff" * 20, b"no EXIF", b""])
def test_exif_that_cannot_be_read_is_no_reason_to_lose_a_picture(exif):
    data = encoded(thrice(GREY), "JPEG", quality=100, exif=b"Exif\0\0" + exif)
    np.testing.assert_allclose(decode(data, wanted()), thrice(GREY), atol=3)


def test_no_text_in_a_picture_is_a_reason_to_lose_it():
    text = PngInfo()
    text.add_text("Raw profile type exif", "\n\n\nno hexadecimal digits")
    np.testing.assert_array_equal(decode(encoded(PICTURE, pnginfo=text), wanted()), PICTURE)


def corners(height, width):
    """A picture whose left half is red, its middle third of the rows lighter."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 200
    image[height // 3 : height - height // 3, :, 1] = 100
    return image


@pytest.mark.parametrize(("height", "width"), [(24, 12), (12, 24), (300, 200), (5, 3)])
def test_crop_cuts_the_middle_and_keeps_the_proportions(height, width):
    found = decode(encoded(corners(height, width)), wanted(6, 6, resize="crop"))
    side = min(height, width)
    top, left = (height - side) / 2, (width - side) / 2
    box = (left, top, left + side, top + side)
    expected = Image.fromarray(corners(height, width)).resize((6, 6), Image.Resampling.BICUBIC, box)
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_pad_shows_all_on_black_in_the_middle():
    found = decode(encoded(np.full((10, 20, 3), 200, np.uint8)), wanted(8, 8, resize="pad"))
    assert (found[2:6] == 200).all() and not found[:2].any() and not found[6:].any()
    found = decode(encoded(np.full((4000, 2, 3), 200, np.uint8)), wanted(8, 8, resize="pad"))
    assert (found[:, 3] == 200).all() and not np.delete(found, 3, axis=1).any()


def test_stretch_fills_both_sides():
    found = decode(encoded(corners(9, 40)), wanted(3, 4, resize="stretch"))
    assert (found[:, 0, 0] > 190).all() and (found[:, 3, 0] < 10).all()
    assert (found[1, :, 1] > 70).all() and (found[[0, 2], :, 1] < 30).all()


def test_a_smaller_size_is_an_average_and_not_a_choice_of_pixels():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for resize in ("crop", "pad", "stretch"):
        np.testing.assert_allclose(decode(encoded(board), wanted(8, 8, 1, resize)), 128, atol=2)


def test_a_picture_of_the_wanted_size_is_left_as_it_is():
    for resize in ("none", "crop", "pad", "stretch"):
        np.testing.assert_array_equal(decode(encoded(PICTURE), wanted(resize=resize)), PICTURE)


def test_too_little_memory_is_not_taken_for_a_damaged_picture(monkeypatch):
    def load(picture):
        raise MemoryError

    data = encoded(PICTURE, "JPEG")
    monkeypatch.setattr(JpegImageFile, "load", load)
    with pytest.raises(SizeError, match=r"memory, expected 100000 pixels at most; close other programs"):
        decode(data, wanted())


def test_a_large_jpeg_is_decoded_small_and_looks_the_same(monkeypatch):
    rows, columns = np.mgrid[:800, :1200] / 100
    smooth = np.dstack([127 + 120 * np.sin(wave) for wave in (rows, columns, rows + columns)]).astype(np.uint8)
    data = encoded(smooth, "JPEG", quality=95)
    sizes, load = [], JpegImageFile.load
    monkeypatch.setattr(JpegImageFile, "load", lambda picture: sizes.append(picture.size) or load(picture))
    decoded = decode(data, wanted(48, 48, resize="crop", pixels=10**6))
    assert sizes[0] == (150, 100)
    monkeypatch.undo()
    whole = Image.open(io.BytesIO(data)).resize((48, 48), Image.Resampling.BICUBIC, (200, 0, 1000, 800))
    assert np.abs(decoded.astype(int) - np.asarray(whole)).max() < 6


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM" + bytes(60), b"%PDF-1.4"]
)
def test_what_is_no_picture_is_told_in_one_line_without_addresses(data):
    with pytest.raises(UnreadableError) as caught:
        decode(data, wanted())
    assert str(caught.value) and "0x" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 20_000), (20_000, 1), (20_000, 4)])
def test_one_pixel_and_twenty_thousand_in_a_row_are_pictures_too(resize, shape):
    for kind in ("PNG", "JPEG", "BMP"):
        found = decode(encoded(np.full((*shape, 3), 200, np.uint8), kind, quality=100), wanted(resize=resize))
        assert found.shape == (8, 8, 3)
        assert found.max() == 200 and (resize == "pad" or found.min() == 200)


def test_a_wide_picture_is_refused_by_its_pixels_before_it_is_decoded(monkeypatch):
    data = encoded(np.zeros((6, 20_000), np.uint8), "JPEG")
    monkeypatch.setattr(JpegImageFile, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(SizeError, match="is 20000 wide and 6 high, more than the allowed 100000 pixels"):
        decode(data, wanted(resize="crop"))


def test_the_first_frame_of_an_animated_gif_counts():
    frames = [Image.fromarray(grey) for grey in (GREY, 252 - GREY)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(data, wanted(channels=1))[..., 0], GREY)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_picture_cut_anywhere_or_zeroed_is_unreadable_or_decoded_and_nothing_else(kind):
    data = encoded(noise(1, 40, 40, 3, seed=1)[0], kind)
    for end in np.random.default_rng(0).integers(0, len(data), 25):
        for broken in (data[:end], data[:end] + bytes(len(data) - end)):
            try:
                assert decode(broken, wanted(40, 40)).shape == (40, 40, 3)
            except (UnreadableError, SizeError) as error:
                assert str(error)
