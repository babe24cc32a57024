"""Statistics of images, and which images are unlike others by them."""

import numpy as np
import pytest

from convzoo.data.image_statistics import CHUNK, MARGIN, inverted_background, ranges, statistics, unlike

IMAGES = np.random.default_rng(0).integers(0, 256, (CHUNK + 3, 6, 5, 3), np.uint8)


def by_hand(image: np.ndarray) -> dict[str, float]:
    levels = image.astype(np.float64) / 255
    inner = np.zeros(image.shape[:2], bool)
    inner[1:-1, 1:-1] = True
    grey = levels.mean(axis=2)
    steps = [*np.abs(np.diff(grey, axis=0)).ravel(), *np.abs(np.diff(grey, axis=1)).ravel()]
    return {
        "brightness": levels.mean(),
        "contrast": levels.std(),
        "border": levels[~inner].mean(),
        "detail": np.mean(steps),
    }


def test_statistics_are_those_computed_image_by_image():
    for name, values in statistics(IMAGES).items():
        np.testing.assert_allclose(values, [by_hand(image)[name] for image in IMAGES], atol=1e-12)


def test_images_are_unlike_others_beyond_a_margin_around_their_range():
    known = ranges(IMAGES)
    assert unlike(IMAGES, known) == [[]] * len(IMAGES)
    low, high = known["brightness"] = [0.4, 0.6]
    flat = [np.full((6, 5, 3), round(255 * level), np.uint8) for level in (0.34, 0.36, 0.64, 0.66)]
    wide = {name: [-1.0, 2.0] for name in known} | {"brightness": [low, high]}
    assert MARGIN * (high - low) == pytest.approx(0.05)
    below, inside, also_inside, above = unlike(np.array(flat), wide)
    assert below == ["brightness 0.34, expected 0.40 to 0.60"] and above == ["brightness 0.66, expected 0.40 to 0.60"]
    assert inside == also_inside == []


@pytest.mark.parametrize(
    ("border", "expected"), [([0.0, 0.2], ["light", ""]), ([0.8, 1.0], ["", "dark"]), ([0.1, 0.9], ["", ""])]
)
def test_a_background_is_inverted_only_if_all_known_ones_are_of_the_other_kind(border, expected):
    light, dark = np.full((1, 4, 4, 1), 250, np.uint8), np.full((1, 4, 4, 1), 5, np.uint8)
    light[:, 1:-1, 1:-1], dark[:, 1:-1, 1:-1] = 0, 255  # what is in the middle does not matter
    assert inverted_background(np.concatenate([light, dark]), {"border": border}) == expected


def test_no_images_have_no_statistics_to_compare():
    assert unlike(IMAGES[:0], ranges(IMAGES)) == inverted_background(IMAGES[:0], ranges(IMAGES)) == []
