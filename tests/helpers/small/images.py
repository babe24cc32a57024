"""Images that a small network can learn."""

import numpy as np

from convzoo.data.arrays import Split

BARS = ["flat", "upright", "none"]  # classes of `pictures`


def shapes(count: int, seed: int, channels: int = 1) -> Split:
    """Images (count, 28, 28, channels) of a flat bar, an upright bar, a square or a cross, anywhere, on noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 4
    images = rng.integers(0, 60, (count, 28, 28, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(2, 10, 2)
        for drawn, height, width in ((label in (0, 3), 3, 15), (label in (1, 3), 15, 3), (label == 2, 10, 10)):
            if drawn:
                y, x = top + (15 - height) // 2, left + (15 - width) // 2
                image[y : y + height, x : x + width] = rng.integers(160, 255)
    return Split(images, labels)


def pictures(count: int, seed: int, side: int = 16) -> Split:
    """Pictures (count, side, side, 3) that blend two colours from corner to corner, with a flat, upright or no bar."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % len(BARS)
    rows, columns = np.mgrid[:side, :side] / (side - 1)
    images = np.empty((count, side, side, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        turn, first, second = rng.uniform(0, 1), rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        share = (turn * rows + (1 - turn) * columns)[..., None]
        image[:] = first * share + second * (1 - share)
        place = rng.integers(2, side - 4)
        if label == 0:
            image[place : place + 2] = 255
        if label == 1:
            image[:, place : place + 2] = 255
    return Split(images, labels)
