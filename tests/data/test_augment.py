"""Stored variants: what they may do to an image, where they come from, and the picture of both."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from convzoo.data import augment as module
from convzoo.data.augment import apply_transforms, augment, draw_transforms
from convzoo.data.contact_sheet import as_picture, contact_sheet, write_picture
from convzoo.data.manifest import COLUMNS, digests, image_rows, read_rows, write_rows
from convzoo.errors import ConvzooError
from convzoo.settings.data import AugmentSettings, NoVariants

BOUNDS = ("rotation", "shift", "scale", "brightness", "contrast", "saturation", "hue")
GREY = np.array([0.299, 0.587, 0.114])


def settings(**changes):
    values = {"seed": 0, "variants": 1, "flip": False, "crop": 1, "pictured": 4} | dict.fromkeys(BOUNDS, 0)
    return AugmentSettings(**values | changes)


def pictures(count, channels, height=12, width=10):
    """Smooth pictures, so that interpolation loses little."""
    small = np.random.default_rng(0).integers(0, 256, (count, 4, 4, channels), np.uint8)
    large = [as_picture(image).resize((width, height), Image.Resampling.BICUBIC) for image in small]
    return np.stack([np.asarray(picture) for picture in large]).reshape(count, height, width, channels)


def variants_of(images, **changes):
    return apply_transforms(images, draw_transforms(settings(**changes), 0, *images.shape[:3]))


def one(images, matrix):
    """Images under one known change, from place in the variant to place in the original."""
    transforms = draw_transforms(settings(), 0, *images.shape[:3])
    transforms.matrices[:] = matrix
    return apply_transforms(images, transforms._replace(reach=max(images.shape)))


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def images(request):
    return pictures(7, request.param)


@pytest.fixture
def train(tmp_path, images):
    folder = tmp_path / "train"
    folder.mkdir()
    labels = np.arange(len(images))[::-1].copy()
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    ids = [f"train-{row:05d}" for row in range(0, 2 * len(images), 2)]
    write_rows(folder / "manifest.csv", COLUMNS, image_rows(ids, digests(images), images, labels))
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_variant_knows_its_original(tmp_path, train, images):
    made = augment("made", settings(variants=2, rotation=20), train, tmp_path / "out")
    found, labels = np.load(tmp_path / "out/images.npy"), np.load(tmp_path / "out/labels.npy")
    rows, originals = read_rows(tmp_path / "out/manifest.csv"), read_rows(train / "manifest.csv")
    assert made == len(found) == len(labels) == len(rows) == 14
    assert found.dtype == np.uint8 and labels.dtype == np.int64 and found.shape[1:] == images.shape[1:]
    for number, row in enumerate(rows):
        original = originals[number % 7]
        assert row == {
            "id": f"{original['id']}-v{number // 7 + 1}",
            "original": original["id"],
            "sha256": hashlib.sha256(found[number].tobytes()).hexdigest(),
            "label": original["label"],
        }
        assert str(labels[number]) == original["label"]


@pytest.mark.parametrize("nothing", [settings(variants=0), NoVariants(variants=0, pictured=4)], ids=["zero", "plain"])
def test_no_variants_is_a_valid_answer(tmp_path, train, images, nothing):
    assert augment("made", nothing, train, tmp_path / "out") == 0
    found, labels = np.load(tmp_path / "out/images.npy", mmap_mode="r"), np.load(tmp_path / "out/labels.npy")
    assert found.shape == (0, *images.shape[1:]) and found.dtype == np.uint8
    assert labels.shape == (0,) and labels.dtype == np.int64
    assert read_rows(tmp_path / "out/manifest.csv") == []
    with Image.open(tmp_path / "out/preview.png") as picture:
        assert picture.height < 2 * 64


def test_the_same_settings_give_the_same_bytes_however_the_work_is_parted(tmp_path, train, monkeypatch):
    chosen = settings(variants=2, rotation=30, shift=0.1, scale=0.2, crop=0.5, brightness=0.2, contrast=0.3)
    augment("made", chosen, train, tmp_path / "first")
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    together = []
    monkeypatch.setattr(
        module,
        "apply_transforms",
        lambda images, transforms: together.append(len(images)) or apply_transforms(images, transforms),
    )
    augment("made", chosen, train, tmp_path / "again")
    assert together == [1] * 14  # no more images in memory than allowed
    assert contents(tmp_path / "first") == contents(tmp_path / "again")
    augment("made", chosen.model_copy(update={"seed": 1}), train, tmp_path / "other")
    assert contents(tmp_path / "first")["images.npy"] != contents(tmp_path / "other")["images.npy"]


def test_more_variants_leave_the_earlier_ones_as_they_are(tmp_path, train):
    for count in (1, 3):
        augment("made", settings(variants=count, rotation=30), train, tmp_path / str(count))
    one, three = (np.load(tmp_path / f"{count}/images.npy") for count in (1, 3))
    np.testing.assert_array_equal(three[:7], one)
    assert not np.array_equal(three[7:14], one)


def test_variants_that_would_be_copies_are_refused(tmp_path, train):
    with pytest.raises(ConvzooError, match=r"made: variants would be copies: data.made.augment has variants: 2"):
        augment("made", settings(variants=2), train, tmp_path / "out")


@pytest.mark.parametrize("images", [pictures(7, 1)], ids=["grey"])
def test_a_hue_is_refused_for_grey_images(tmp_path, train):
    with pytest.raises(ConvzooError, match=r"made: .* one channel and no hue: set data\.made\.augment\.hue to 0"):
        augment("made", settings(flip=True, hue=0.1), train, tmp_path / "out")


def test_a_manifest_that_does_not_fit_the_arrays_is_named(tmp_path, train):
    rows = (train / "manifest.csv").read_text().splitlines(keepends=True)
    (train / "manifest.csv").write_text("".join(rows[:-1]))
    with pytest.raises(ConvzooError, match="has 7 images, 7 labels and 6 rows"):
        augment("made", settings(variants=1, rotation=9), train, tmp_path / "out")


def test_nothing_drawn_leaves_an_image_as_it_is(images):
    np.testing.assert_array_equal(variants_of(images), images)


def test_a_shift_moves_pixels_and_repeats_the_edge(images):
    found = one(images, [[1, 0, -2], [0, 1, 3]])  # 2 right, 3 up
    np.testing.assert_array_equal(found[:, :-3, 2:], images[:, 3:, :-2])
    np.testing.assert_array_equal(found[:, :-3, :2], images[:, 3:, :1].repeat(2, axis=2))
    np.testing.assert_array_equal(found[:, -3:, 2:], images[:, -1:, :-2].repeat(3, axis=1))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_about_the_centre(turns):
    images = pictures(5, 1, height=8, width=8)
    cos, sin = round(np.cos(turns * np.pi / 2)), round(np.sin(turns * np.pi / 2))
    found = one(images, [[cos, -sin, 0], [sin, cos, 0]])
    np.testing.assert_array_equal(found, np.rot90(images, turns, axes=(1, 2)))


def test_a_flip_mirrors_every_second_image_and_every_second_variant(images):
    chosen = settings(flip=True)
    first, second = (
        apply_transforms(images, draw_transforms(chosen, variant, *images.shape[:3])) for variant in (0, 1)
    )
    np.testing.assert_array_equal(first[::2], images[::2, :, ::-1])
    np.testing.assert_array_equal(first[1::2], images[1::2])
    np.testing.assert_array_equal(second[::2], images[::2])
    np.testing.assert_array_equal(second[1::2], images[1::2, :, ::-1])


@pytest.mark.parametrize("changes", [{"rotation": 180}, {"shift": 0.9}, {"scale": 0.9}, {"crop": 0.3, "rotation": 45}])
def test_no_black_border_appears(images, changes):
    light = np.maximum(images, 100)
    assert variants_of(light, **changes).min() >= 99


def test_draws_stay_within_their_bounds_and_reach_for_them():
    transforms = draw_transforms(settings(rotation=30, scale=0.2, brightness=0.3), 0, 20_000, 10, 10)
    linear = transforms.matrices[:, :, :2]
    scale = 1 / np.sqrt(np.linalg.det(linear))
    angle = np.degrees(np.arctan2(linear[:, 0, 1], linear[:, 0, 0]))
    for values, low, high in ((angle, -30, 30), (scale, 0.8, 1.2), (transforms.brightness, 0.7, 1.3)):
        assert low <= values.min() < low + (high - low) / 100
        assert high - (high - low) / 100 < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < (high - low) / 50


def test_a_crop_enlarges_a_part_of_the_picture_of_the_area_and_aspect_that_were_drawn():
    transforms = draw_transforms(settings(crop=0.25), 0, 20_000, 30, 20)
    across, down = transforms.matrices[:, 0, 0], transforms.matrices[:, 1, 1]
    area, aspect = across * down, across * 20 / (down * 30)
    assert 0.25 <= area.min() < 0.26 and 0.99 < area.max() <= 1 + 1e-9
    assert abs(area.mean() - 0.625) < 0.01
    small = aspect[area < 0.5]  # of these every aspect from 3/4 to 4/3 fits, of the whole picture only its own
    assert 0.75 - 1e-9 <= small.min() < 0.76 and 1.32 < small.max() <= 4 / 3 + 1e-9
    assert abs(np.log(small).mean()) < 0.01 and abs(np.median(small) - 1) < 0.01
    assert aspect.min() >= 2 / 3 - 1e-9
    for side, middle, pixels in ((across, transforms.matrices[:, 0, 2], 20), (down, transforms.matrices[:, 1, 2], 30)):
        room = (1 - side) * pixels / 2
        assert (np.abs(middle) <= room + 1e-9).all()  # never beyond the picture
        assert np.abs(middle).max() > 0.9 * room.max() and abs(middle.mean()) < 0.2
    assert transforms.reach == 1


def test_a_crop_shows_the_pixels_that_it_cuts_out():
    ramp = np.broadcast_to(np.arange(0, 240, 8, np.uint8)[None, None, :, None], (50, 20, 30, 1))
    chosen = settings(crop=0.2)
    transforms, found = draw_transforms(chosen, 0, 50, 20, 30), variants_of(ramp, crop=0.2)
    left = (15 + transforms.matrices[:, 0, 2] - 15 * transforms.matrices[:, 0, 0]) * 8
    right = (15 + transforms.matrices[:, 0, 2] + 15 * transforms.matrices[:, 0, 0]) * 8
    np.testing.assert_allclose(found[:, 5, 0, 0], left, atol=8)
    np.testing.assert_allclose(found[:, 5, -1, 0], right, atol=16)


def test_crop_and_hue_leave_the_other_draws_as_they_are():
    plain, more = (
        draw_transforms(settings(rotation=30, brightness=0.3, **changes), 1, 50, 10, 10)
        for changes in ({}, {"crop": 0.999999999, "hue": 0.1})
    )
    np.testing.assert_allclose(more.matrices, plain.matrices, atol=1e-6)
    np.testing.assert_array_equal(more.brightness, plain.brightness)
    assert not plain.hue.any() and more.hue.all() and np.abs(more.hue).max() <= 0.1


@pytest.mark.parametrize("name", ["brightness", "contrast"])
def test_light_changes_by_its_factor(images, name):
    calm = images // 2 + 40
    factors = getattr(draw_transforms(settings(**{name: 0.2}), 0, *calm.shape[:3]), name)
    found = variants_of(calm, **{name: 0.2})
    assert not np.array_equal(found, calm)
    for image, variant, factor in zip(calm, found, factors, strict=True):
        middle = (
            0 if name == "brightness" else (image.mean(axis=(0, 1)) @ GREY if image.shape[-1] == 3 else image.mean())
        )
        np.testing.assert_allclose(variant, middle + factor * (image - middle), atol=0.6)


def test_saturation_changes_colours_and_leaves_grey_alone():
    colour, grey = pictures(3, 3) // 2 + 60, pictures(3, 1)
    factors = draw_transforms(settings(saturation=0.3), 0, *colour.shape[:3]).saturation
    found = variants_of(colour, saturation=0.3)
    for image, variant, factor in zip(colour, found, factors, strict=True):
        own = (image @ GREY)[..., None]
        np.testing.assert_allclose(variant, own + factor * (image - own), atol=0.6)
    np.testing.assert_array_equal(variants_of(grey, saturation=0.5), grey)


def test_hue_turns_the_colours_keeps_each_pixels_grey_and_leaves_grey_pixels_alone():
    red = np.full((40, 4, 4, 3), (150, 90, 90), np.uint8)
    found = variants_of(red, hue=0.5)
    np.testing.assert_allclose(found @ GREY, red @ GREY, atol=1)
    assert {int(pixel.argmax()) for pixel in found[:, 0, 0]} == {0, 1, 2}  # half round to either side: every colour
    small = variants_of(red, hue=0.03)[:, 0, 0]
    assert (small.argmax(axis=1) == 0).all() and (small[:, 1] > small[:, 2]).any() and (small[:, 1] < small[:, 2]).any()
    even = np.full((5, 4, 4, 3), 77, np.uint8)
    np.testing.assert_array_equal(variants_of(even, hue=0.5), even)


def test_the_picture_shows_originals_above_their_variants(tmp_path, train, images):
    augment("made", settings(variants=1, rotation=90, pictured=7), train, tmp_path / "out")
    made = np.load(tmp_path / "out/images.npy")
    with Image.open(tmp_path / "out/preview.png") as picture:
        assert picture.info == {}
        found = np.asarray(picture.convert("RGB"))
    expected = contact_sheet([list(images), list(made)], ["originals", "variants 1"])
    np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("side", [64, 224])
def test_the_picture_of_large_images_stays_small_and_keeps_their_shape(tmp_path, side):
    folder = tmp_path / "train"
    folder.mkdir()
    np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 256, (30, side, side, 3), np.uint8))
    np.save(folder / "labels.npy", np.zeros(30, np.int64))
    write_rows(folder / "manifest.csv", ["id"], [(f"train-{row:05d}",) for row in range(30)])
    augment("made", settings(flip=True, pictured=12), folder, tmp_path / "out")
    with Image.open(tmp_path / "out/preview.png") as picture:
        tile = min(side, 129)
        assert picture.size == (12 * (tile + 6) + 6, 2 * (16 + tile + 6) + 6)
        assert (tmp_path / "out/preview.png").stat().st_size < 1.3e6  # noise; photographs take half of it


def test_a_contact_sheet_holds_every_image_enlarged_without_blur(images, tmp_path):
    sheet = np.asarray(contact_sheet([list(images[:4]), list(images[4:])], captions=[["a\nb"] * 4, ["a"] * 3]))
    for image in images:
        large = np.broadcast_to(image, (*image.shape[:2], 3)).repeat(5, axis=0).repeat(5, axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(sheet, large.shape)
        assert (windows[:, :, 0, 0, 0] == large[0, 0]).all(axis=2).any()
        candidates = windows[(windows[:, :, 0, 0, 0] == large[0, 0]).all(axis=2)]
        assert any(np.array_equal(candidate[0], large) for candidate in candidates)
    write_picture(contact_sheet([list(images)]), tmp_path / "sheet.png")


@pytest.mark.parametrize(
    ("rows", "titles", "captions", "message"),
    [
        ([], (), (), "images of one shape, got none"),
        ([[np.zeros((2, 2, 1), np.uint8), np.zeros((3, 2, 1), np.uint8)]], (), (), "images of one shape"),
        ([[np.zeros((2, 2, 1), np.uint8)]], ("a", "b"), (), "expected 1 titles"),
        ([[np.zeros((2, 2, 1), np.uint8)]], (), (["a", "b"],), "a caption for each image"),
    ],
)
def test_a_contact_sheet_refuses_what_does_not_fit(rows, titles, captions, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet(rows, titles, captions)
