"""Reading image files of any size, mode and format, as `convzoo predict` does: exactly as `prepare` does."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers.raw_sets import noise
from PIL import Image

from convzoo.data.formats import pictures
from convzoo.data.image_files import ImageReader, images_in
from convzoo.data.image_formats import ENDINGS, FORMATS
from convzoo.settings.data import PrepareSettings

NOISE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)


def read_image(file: Path, height: int, width: int, channels: int, resize: str | None = "crop") -> np.ndarray:
    (row,), images = ImageReader(height, width, channels, resize).read([file])
    if "error" in row:
        raise ValueError(row["error"])
    return images[0]


# The size, the mode, the format and the EXIF orientation of pictures, each of which changes what is done to them.
PICTURES = [
    *((size, mode, "PNG", 1) for size in [(30, 30), (96, 32), (31, 97), (8, 6)] for mode in ["L", "RGB", "RGBA", "P"]),
    *(((40, 28), "RGB", "JPEG", turn) for turn in range(1, 9)),
    *(((40, 28), mode, kind, 1) for kind in ["TIFF", "WEBP", "GIF", "BMP", "PPM", "AVIF"] for mode in ["L", "RGB"]),
    *(((40, 28), mode, "TIFF", 6) for mode in ["CMYK", "I;16", "1", "LA"]),
    ((900, 700), "RGB", "JPEG", 6),  # decoded at a fraction of its size
    ((900, 700), "CMYK", "JPEG", 1),
]


def write_pictures(folder: Path) -> list[Path]:
    rng, files = np.random.default_rng(1), []
    for number, ((width, height), mode, kind, turn) in enumerate(PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 4), np.uint8), "RGBA").resize((width, height))
        if mode == "I;16":
            picture = Image.fromarray(np.asarray(coarse.convert("L")).astype(np.uint16) * 251)
        else:
            picture = coarse if mode == "RGBA" else coarse.convert("RGB").convert(mode)
        exif = Image.Exif()
        exif[0x0112] = turn
        files.append(folder / f"{number:03}{FORMATS[kind][0]}")
        picture.save(files[-1], kind, **({"exif": exif} if turn > 1 else {}))
    return files


def prepared(folder: Path, raw: Path, channels: int, resize: str) -> np.ndarray:
    """The images as the stage `prepare` decodes them."""
    raw.mkdir()
    with tarfile.open(raw / "pictures.tar", "w") as archive:
        archive.add(folder, "")
    settings = PrepareSettings(
        seed=0, classes=[], height=24, width=30, channels=channels, resize=resize, unreadable="stop",
        split="stratified", val_fraction=0.1, test_fraction=0.1, label_conflicts="stop",
        storage="arrays", shards={"bytes": 1, "window": 1},
    )  # fmt: skip
    source = {"layout": "*", "limits": {"files": 1000, "bytes": 10**9, "pixels": 10**7}}
    published = pictures.read(raw, source, settings)
    return np.concatenate([part.images for part in published.parts])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_images_are_brought_to_size_as_in_training_byte_for_byte(tmp_path, resize, channels):
    (tmp_path / "images").mkdir()
    files = write_pictures(tmp_path / "images")
    expected = prepared(tmp_path / "images", tmp_path / "raw", channels, resize)
    reader = ImageReader(24, 30, channels, resize)
    rows, images = reader.read(images_in([tmp_path / "images"]))
    assert [row["file"] for row in rows] == [str(file) for file in files] and reader.notes() == []
    np.testing.assert_array_equal(images, expected)


def test_without_resizing_images_of_the_size_stay_as_they_are_and_others_are_cropped_with_a_note(tmp_path):
    for number, side in enumerate((40, 40, 50)):
        Image.fromarray(noise(1, side, side, 3)[0]).save(tmp_path / f"{number}.png")
    reader = ImageReader(40, 40, 3, "none")
    rows, images = reader.read(images_in([tmp_path]))
    assert not any("error" in row for row in rows)
    np.testing.assert_array_equal(images[0], noise(1, 40, 40, 3)[0])
    np.testing.assert_array_equal(images[2], read_image(tmp_path / "2.png", 40, 40, 3, "crop"))
    (note,) = reader.notes()
    assert note.startswith("note: 1 image is not 40 wide and 40 high: the centre was cropped")


def test_a_file_that_does_not_say_how_it_was_resized_reads_images_as_before_with_a_warning(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    reader = ImageReader(8, 12, 3, None)
    _, images = reader.read([tmp_path / "a.png"])
    before = Image.fromarray(NOISE).resize((12, 8), Image.Resampling.LANCZOS, box=(0, 40 / 6, 40, 40 - 40 / 6))
    assert np.abs(images[0].astype(int) - np.asarray(before)).max() <= 1
    assert [note[:8] for note in reader.notes()] == ["warning:"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("resize", ["crop", None])
def test_any_mode_is_read(tmp_path, mode, resize):
    deep = np.full((40, 40), 200 * 257, np.uint16)
    picture = Image.fromarray(deep) if mode == "I;16" else Image.new("RGB", (40, 40), (200,) * 3).convert(mode)
    picture.save(tmp_path / "a.tif")
    for channels in (1, 3):
        found = read_image(tmp_path / "a.tif", 8, 8, channels, resize)
        assert found.shape == (8, 8, channels) and found.dtype == np.uint8
        assert abs(float(found.mean()) - 200) < (60 if mode == "1" else 3)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_grey_levels_of_unknown_scale_are_refused(tmp_path, dtype):
    Image.fromarray(np.full((40, 40), 200, dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="of unknown scale; save it with 8 or 16 bits per pixel"):
        read_image(tmp_path / "a.tif", 8, 8, 1)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (20_000, 20)])
def test_any_shape_is_read(tmp_path, size):
    Image.new("RGB", size, (200,) * 3).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 8, 8, 3) == 200).all()


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_listed_ending_is_found_in_a_folder_and_read(tmp_path, ending):
    kind = next(kind for kind, endings in FORMATS.items() if ending in endings)
    Image.new("RGB", (40, 40), (200,) * 3).save(tmp_path / f"a{ending.upper()}", kind)
    (file,) = images_in([tmp_path])
    assert abs(float(read_image(file, 8, 8, 3).mean()) - 200) < 3


def test_a_wrong_extension_does_not_matter_and_a_camera_held_otherwise_neither(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(NOISE).save(tmp_path / "a.gif", "PNG", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif", 40, 40, 3), np.rot90(NOISE, -1))


def test_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp", 40, 40, 3), NOISE)


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize("side", [20_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused(tmp_path, side):
    Image.new("L", (8, 8)).save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    content[18:26] = side.to_bytes(4, "little") * 2
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(ValueError, match=r"pixels|expected a complete image"):
        read_image(tmp_path / "a.bmp", 8, 8, 1)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_anywhere_is_named_with_a_reason(tmp_path, kind):
    Image.fromarray(NOISE).save(tmp_path / "whole", kind)
    data = (tmp_path / "whole").read_bytes()
    for end in [0, 1, *np.random.default_rng(0).integers(2, len(data) * 9 // 10, 20)]:
        (tmp_path / "cut").write_bytes(data[:end])
        with pytest.raises(ValueError, match="expected"):
            read_image(tmp_path / "cut", 8, 8, 3)


def test_what_is_no_image_is_named_with_what_was_expected(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    reader = ImageReader(8, 8, 3, "crop")
    names = ["text.png", "empty", "missing.png", "null\0.png", "n" * 300]
    rows, images = reader.read(tmp_path / name for name in names)
    assert images.shape == (0, 8, 8, 3)
    expected = [
        "is not an image that can be read, expected JPEG, PNG",
        "the folder contains no images",
        "file not found",
        "cannot be read",
        "cannot",
    ]
    assert [row["error"][: len(start)] for row, start in zip(rows, expected, strict=True)] == expected
