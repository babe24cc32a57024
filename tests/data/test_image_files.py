"""Reading image files of any size, mode and format, as `convzoo predict` does."""

import numpy as np
import pytest
from PIL import Image

from convzoo.data.image_files import read_image

NOISE = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_any_mode_is_read(tmp_path, mode):
    deep = np.full((40, 40), 200 * 257, np.uint16)
    picture = Image.fromarray(deep) if mode == "I;16" else Image.new("RGB", (40, 40), (200,) * 3).convert(mode)
    picture.save(tmp_path / "a.tif")
    for channels in (1, 3):
        found = read_image(tmp_path / "a.tif", 8, 8, channels)
        assert found.shape == (8, 8, channels) and found.dtype == np.uint8
        assert abs(float(found.mean()) - 200) < (60 if mode == "1" else 3)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (20_000, 20)])
def test_any_shape_is_read(tmp_path, size):
    Image.new("RGB", size, (200,) * 3).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 8, 8, 3) == 200).all()


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
    with pytest.raises(ValueError, match=r"cannot be read \(.*\), expected a complete image"):
        read_image(tmp_path / "a.bmp", 8, 8, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_file_cut_anywhere_is_answered_with_a_reason(tmp_path, kind):
    Image.fromarray(NOISE).save(tmp_path / "whole", kind)
    data = (tmp_path / "whole").read_bytes()
    for end in [0, 1, *np.random.default_rng(0).integers(2, len(data) * 9 // 10, 20)]:
        (tmp_path / "cut").write_bytes(data[:end])
        with pytest.raises(ValueError, match="expected"):
            read_image(tmp_path / "cut", 8, 8, 3)
