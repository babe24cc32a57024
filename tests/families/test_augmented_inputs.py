"""The augmentation of every training loop, read off the images that the network receives, setting by setting.

Red rises by 16 levels from column to column and green from row to row, so that a pixel tells where it is from.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from helpers.loops import LOOPS, SIDE, Call, noise

from convzoo.data.arrays import Split
from convzoo.families.dcgan.network import Discriminator

COUNT, EPOCHS, RISE = 24, 4, 16
VAL = noise(6, seed=1)


def ramps() -> Split:
    """Images that are alike but for their blue, which is five times their number."""
    images = np.empty((COUNT, SIDE, SIDE, 3), np.uint8)
    images[..., 0], images[..., 1] = RISE * np.arange(SIDE), RISE * np.arange(SIDE)[:, None]
    images[..., 2] = 5 * np.arange(COUNT)[:, None, None]
    return Split(images, np.arange(COUNT) % 4)


def received(name: str, images: Split, **settings) -> list[np.ndarray]:
    """The images of each epoch, float (N, H, W, C), 0 to 255; those of the set alone if there are generated ones."""
    found = LOOPS[name].run(images, VAL, epochs=EPOCHS, batch_size=12, **settings)
    return [
        np.concatenate([LOOPS[name].levels(call.x).numpy() for call in inputs(name, epoch)])
        for epoch in found.by_epoch()
    ]


def inputs(name: str, calls: list[Call]) -> list[Call]:
    """A step of a DCGAN has a call of the generator and three of the discriminator, the first one with real images."""
    return [call for call in calls if isinstance(call.network, Discriminator)][::3] if name == "dcgan" else calls


class Views(NamedTuple):
    """Where images are from: the matrix (N, 2, 2) and the middle (N, 2), x before y, in pixels from the middle."""

    matrix: np.ndarray
    middle: np.ndarray

    @property
    def areas(self) -> np.ndarray:
        """The share of the area; negative if the image is mirrored."""
        return np.linalg.det(self.matrix)

    @property
    def angles(self) -> np.ndarray:
        return np.degrees(np.arctan2(self.matrix[:, 1, 0], self.matrix[:, 0, 0]))


def views(images: np.ndarray) -> Views:
    """Those of ramps, from the 4x4 pixels in the middle."""
    inner = slice(SIDE // 2 - 2, SIDE // 2 + 2)
    y, x = np.mgrid[inner, inner] - (SIDE - 1) / 2
    terms = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    places = images[:, inner, inner, :2].reshape(len(images), -1, 2) / RISE - (SIDE - 1) / 2
    fitted, *_ = np.linalg.lstsq(terms, places.transpose(1, 0, 2).reshape(len(terms), -1), rcond=None)
    fitted = fitted.reshape(3, len(images), 2)
    difference = np.einsum("pt,tnc->npc", terms, fitted) - places
    assert np.abs(difference).max() < 0.01, "no other change than an affine one"
    return Views(fitted[:2].transpose(1, 2, 0), fitted[2])


def assert_same(values: np.ndarray, expected: np.ndarray | float) -> None:
    np.testing.assert_allclose(values, np.broadcast_to(expected, values.shape), atol=0.01)


def assert_spread(values: np.ndarray, low: float, high: float) -> None:
    """Values all over the range, and in it: about uniform."""
    tenth = (high - low) / 10
    assert 2 * tenth < np.abs(values - (low + high) / 2).mean() < 3 * tenth, "a quarter of the range"
    assert low - 0.01 <= values.min() < low + 2 * tenth and high - 2 * tenth < values.max() <= high + 0.01
    assert (low + high) / 2 - 2 * tenth < values.mean() < (low + high) / 2 + 2 * tenth


FLIPPED = [(name, "random") for name in ("classifier", "autoencoder")] + [("dcgan", None), ("tune", None)]


@pytest.mark.parametrize(("name", "mode"), FLIPPED)
def test_half_of_the_images_are_mirrored_others_in_each_epoch(name, mode):
    settings = {"augment": {"flip": True}} if name == "dcgan" else {"flip": mode or True}
    mirrored = []
    for images in received(name, ramps(), **settings):
        found = views(images)
        assert_same(found.middle, 0)
        assert_same(np.abs(found.matrix), np.eye(2))
        assert_same(found.matrix[:, 1, 1], 1)
        numbers = np.argsort(images[:, 0, 0, 2])
        mirrored.append(found.areas[numbers] < 0)
    assert 0.35 < np.mean(mirrored) < 0.65
    assert len({tuple(epoch) for epoch in mirrored}) == EPOCHS


@pytest.mark.parametrize("name", ["classifier", "autoencoder"])
def test_alternating_shows_the_other_side_in_the_next_epoch(name):
    mirrored = []
    for images in received(name, ramps(), flip="alternating"):
        mirrored.append((views(images).areas < 0)[np.argsort(images[:, 0, 0, 2])])
    assert 0.2 < mirrored[0].mean() < 0.8
    assert all((before != after).all() for before, after in pairwise(mirrored))


@pytest.mark.parametrize("name", ["classifier", "autoencoder", "dcgan", "tune"])
def test_without_augmentation_images_are_those_of_the_set(name):
    settings = {"augment": {"flip": False}} if name == "dcgan" else {"flip": False if name == "tune" else "none"}
    for images in received(name, ramps(), **settings):
        assert_same(images[np.argsort(images[:, 0, 0, 2])], ramps().images)


@pytest.mark.parametrize("name", ["classifier", "autoencoder", "dcgan"])
def test_a_shift_moves_by_up_to_so_many_pixels_each_way(name):
    settings = {"augment": {"shift": 1, "flip": False}} if name == "dcgan" else {"shift": 1}
    found = views(np.concatenate(received(name, ramps(), **settings)))
    assert_same(found.matrix, np.eye(2))
    assert_same(found.middle, found.middle.round())
    assert {tuple(middle) for middle in found.middle.round().astype(int)} == {
        (x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)
    }


@pytest.mark.parametrize("name", ["classifier", "tune"])
def test_a_rotation_turns_by_up_to_so_many_degrees_to_either_side(name):
    found = views(np.concatenate(received(name, ramps(), rotation=20)))
    assert_spread(found.angles, -20, 20)
    assert_same(found.areas, 1)
    assert_same(found.middle, 0)


def test_a_scale_draws_images_larger_or_smaller():
    found = views(np.concatenate(received("classifier", ramps(), scale=0.2)))
    assert_spread(1 / np.sqrt(found.areas), 0.8, 1.2)
    assert_same(found.angles, 0)


def test_a_crop_covers_at_least_its_share_of_the_area_anywhere():
    found = views(np.concatenate(received("tune", ramps(), crop=0.4)))
    assert_spread(np.minimum(found.areas, 1), 0.4, 1)
    assert_same(found.angles, 0)
    width, height = found.matrix[:, 0, 0], found.matrix[:, 1, 1]
    assert 3 / 4 - 0.01 < (width / height).min() < 0.9 and 1.1 < (width / height).max() < 4 / 3 + 0.01
    for side, middle in ((width, found.middle[:, 0]), (height, found.middle[:, 1])):
        room = SIDE / 2 * (1 - side)
        assert (np.abs(middle) <= room + 0.01).all()
        assert_spread(middle[room > 0.3] / room[room > 0.3], -1, 1)


def test_a_cutout_of_the_classifier_paints_one_square_in_each_image():
    images = noise(COUNT)
    for epoch in received("classifier", images, cutout=3):
        same = (np.abs(epoch[:, None] - images.images) < 0.01).all(axis=4)
        assert (same.sum((2, 3)).max(1) == SIDE**2 - 9).all()


GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
# What stays where it is while an image changes around it.
FIXED = {
    ("tune", "brightness"): lambda image: np.zeros(3),
    ("tune", "contrast"): lambda image: (image @ GREY).mean(),
    ("tune", "saturation"): lambda image: (image @ GREY)[..., None],
    ("dcgan", "contrast"): lambda image: image.mean(),
    ("dcgan", "saturation"): lambda image: image.mean(axis=2, keepdims=True),
}


def coloured() -> Split:
    """Images of levels in the middle of the range, so that none is clipped."""
    return Split(noise(COUNT).images // 4 + 96, noise(COUNT).labels)


def pairs(images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each image, and that of the set that it is from: the one that looks most alike."""
    known = coloured().images.astype(float)
    flat = known.reshape(COUNT, -1) - known.mean((1, 2, 3))[:, None]
    found = [image.astype(float) for epoch in images for image in epoch]
    return [(image, known[np.argmax(flat @ (image - image.mean()).ravel())]) for image in found]


@pytest.mark.parametrize(("name", "setting"), FIXED)
def test_colours_change_by_a_factor_of_up_to_the_setting(name, setting):
    settings = {"augment": {"flip": False, setting: 0.3}} if name == "dcgan" else {setting: 0.3}
    factors = []
    for image, original in pairs(received(name, coloured(), **settings)):
        fixed = FIXED[name, setting](original)
        around = original - fixed
        factors.append((around * (image - fixed)).sum() / (around**2).sum())
        np.testing.assert_allclose(image, fixed + factors[-1] * around, atol=0.05)
    assert_spread(np.array(factors), 0.7, 1.3)


def test_brightness_of_a_dcgan_adds_up_to_its_share_of_the_range():
    found = pairs(received("dcgan", coloured(), augment={"flip": False, "brightness": 0.3}))
    added = np.array([image - original for image, original in found])
    assert_same(added, added.mean((1, 2, 3), keepdims=True))
    assert_spread(added.mean((1, 2, 3)) / 255, -0.3, 0.3)


@pytest.mark.parametrize("method", ["mixup", "cutmix"])
@pytest.mark.parametrize(("amount", "least"), [(200.0, 0.35), (1.0, 0.0)])
def test_shares_of_mixed_images_are_from_a_beta_distribution(method, amount, least):
    """Beta(1, 1) is uniform, Beta(200, 200) is near one half. tests/families/test_loop_steps.py has the labels."""
    images = noise(COUNT)
    found = LOOPS["tune"].run(images, VAL, epochs=12, batch_size=12, **{method: amount})
    shares = np.array([LOOPS["tune"].shares(call.x, images.images).numpy() for call in found.steps()])
    assert shares.shape == (24, 12, COUNT)
    np.testing.assert_allclose(shares.sum(2), 1, atol=1e-3)
    assert ((shares > 1e-3).sum(2) <= 2).all(), "of two images"
    larger = shares.max(2)
    assert (larger < 1 - 1e-3).mean() > 0.7, "few images have themselves as a partner"
    smaller = 1 - larger.min(1)  # that of a batch
    if least:
        assert least < smaller.min() and smaller.max() <= 0.501
    else:
        assert smaller.min() < 0.1 and smaller.max() > 0.4


def test_with_mixup_and_cutmix_a_batch_has_one_of_them_at_random():
    images = noise(COUNT)
    found = LOOPS["tune"].run(images, VAL, epochs=6, batch_size=12, mixup=200.0, cutmix=200.0)
    # A pasted image has pixels of the set, a blended one has none of them.
    pasted = []
    for call in found.steps():
        levels = LOOPS["tune"].levels(call.x).numpy()
        pasted.append((np.abs(levels[:, None] - images.images) < 0.1).all(4).any(1).mean())
    assert 0 < np.mean(np.array(pasted) > 0.9) < 1
    assert all(share > 0.9 or share < 0.4 for share in pasted), "few images have themselves as a partner"
