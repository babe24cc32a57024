"""A canvas for a batch of pictures, and the arithmetic that all drawings share.

A shape is a signed distance from its outline, negative inside, which gives smooth edges without drawing at a larger
size. Pixels only pass through operations that IEEE 754 rounds the same way everywhere (no sine or logarithm from a
library, no sum over an axis), so a seed gives the same bytes on every machine. A value per picture is a
column, float32 (N, 1); a colour is float32 (N, 3), or (3,) for all pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import copy

import numpy as np

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
Array = np.ndarray
Shape = Callable[..., Array]  # from coordinates x, y (and columns) to signed distances
union, intersection = np.minimum, np.maximum  # of signed distances


class Canvas:
    """N square pictures, initially black, and the random generator for their differences.

    `planes` is float32 (3, N, side * side): red, green and blue from 0 to 1. `x` and `y` are the coordinates of the
    pixels, from -1 to 1 with y downwards, and `pixel` is the width of a pixel in the same units.
    """

    def __init__(self, count: int, side: int, generator: np.random.Generator) -> None:
        self.count, self.side, self.generator = count, side, generator
        self.planes = np.zeros((3, count, side * side), np.float32)
        self.centres = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
        self.x, self.y, self.pixel = np.tile(self.centres, side), np.repeat(self.centres, side), 2 / side

    def zoom(self, x: Array, y: Array, size: Array | float, turn: Array, stretch: Array | float = 1) -> Canvas:
        """The same pictures in other coordinates: (x, y) becomes the origin and `size` the unit; the axes are rotated
        by `turn` (1 is a full turn) and y is measured in units that are `stretch` times as long."""
        view = copy(self)
        cos, sin = sine(turn + 0.25), sine(turn)
        unit = size * length(cos, sin)
        cos, sin, column, row = cos / unit, sin / unit, self.centres - x, self.centres - y
        view.x = ((row * sin)[:, :, None] + (column * cos)[:, None, :]).reshape(self.count, -1)
        view.y = ((row * cos / stretch)[:, :, None] - (column * sin / stretch)[:, None, :]).reshape(self.count, -1)
        view.pixel = self.pixel / size
        return view

    def select(self, pictures: Array) -> Canvas:
        """A copy of some of the pictures of a zoomed canvas."""
        part = copy(self)
        part.planes = self.planes[:, pictures]
        part.x, part.y, part.pixel = self.x[pictures], self.y[pictures], self.pixel[pictures]
        part.count = len(part.x)
        return part

    def rows(self, first: int, last: int) -> Canvas:
        """Some rows of pixels of a zoomed canvas: a view, faster to paint than all the rows."""
        part, pixels = copy(self), slice(first * self.side, (last + 1) * self.side)
        part.planes, part.x, part.y = self.planes[:, :, pixels], self.x[:, pixels], self.y[:, pixels]
        return part

    def between(self, low: float, high: float) -> Array:
        """A random column, uniform between two bounds."""
        return low + (high - low) * self.generator.random((self.count, 1), np.float32)

    def chance(self, share: float) -> Array:
        """A random column: 1 in that share of the pictures, else 0."""
        return (self.between(0, 1) < share).astype(np.float32)

    def choice(self, options: Collection) -> Array:
        """A random index into the options for each picture, int64 (N,)."""
        return self.generator.integers(0, len(options), self.count)

    def colour(self, palette: Array, spread: float = 0.05) -> Array:
        """Random colours from a palette (K, 3), each channel shifted by up to `spread`."""
        shift = self.generator.random((self.count, 3), np.float32) * 2 - 1
        return np.clip(palette[self.choice(palette)] + spread * shift, 0, 1)

    def tint(self, luma: Array) -> Array:
        """Random colours from grey to pure, of any hue and as light as `luma`."""
        pure = np.clip(3 * wave(self.between(0, 1) + np.array([0.5, 1 / 6, 5 / 6], np.float32)) - 1, 0, 1)
        grey = sum(weight * pure[:, channel, None] for channel, weight in enumerate(LUMA))
        return np.clip(luma + self.between(0.1, 0.9) * (pure - grey), 0, 1)

    def cover(self, distance: Array, soft: float = 1) -> Array:
        """The mask of a shape: how much of each pixel lies inside, 0 to 1, with an edge that is `soft` pixels wide."""
        mask = distance * (-1 / (soft * self.pixel))
        mask += 0.5
        return np.clip(mask, 0, 1, out=mask)

    def fill(self, colour: Array) -> None:
        """Cover the pictures with a colour."""
        self.planes[:] = colour.T[:, :, None]

    def paint(self, mask: Array, colour: Array, light: Array | None = None) -> None:
        """Lay a colour, times `light` (N, pixels) if given, over the pictures; `mask` (N, pixels) is its opacity."""
        for plane, value in zip(self.planes, np.atleast_2d(colour).T[:, :, None], strict=True):
            change = (value if light is None else value * light) - plane
            change *= mask
            plane += change

    def outline(self, distance: Array, colour: Array, rim: float, dark: float = 0.4) -> None:
        """Paint a shape with an outline around it, `rim` wide and `dark` times as light."""
        self.paint(self.cover(distance - rim), colour, self.cover(distance) * (1 - dark) + dark)

    def weather(self, light: float, grain: float) -> None:
        """Add light from one side, up to `light` times more or less at the edges, and noise up to `grain`."""
        lamp = self.between(-light, light) * self.x
        lamp += self.between(-light, light) * self.y
        for plane in self.planes:
            plane += plane * lamp
            noise = self.generator.integers(-128, 128, plane.shape, np.int8)
            plane += noise * np.float32(grain / 128)

    def images(self) -> Array:
        """The pictures, uint8 (N, side, side, 3)."""
        images = np.empty((self.count, self.side * self.side, 3), np.uint8)
        for channel, plane in enumerate(self.planes):
            images[:, :, channel] = np.clip(plane * 255 + 0.5, 0, 255)
        return images.reshape(-1, self.side, self.side, 3)


def rgb(colours: str) -> Array:
    """Colours in hexadecimal, float32 (K, 3) from 0 to 1."""
    return np.array([list(bytes.fromhex(colour)) for colour in colours.split()], np.float32) / 255


def select_distances(shapes: Collection[Shape], kinds: Array, *arguments: Array) -> Array:
    """Signed distances from one shape per picture, whose position in `shapes` is `kinds` (N,)."""
    out = np.empty_like(arguments[0])
    for kind, shape in enumerate(shapes):
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            out[rows] = shape(*(argument[rows] for argument in arguments))
    return out


def length(x: Array, y: Array) -> Array:
    """The distance from the origin."""
    out = x * x
    out += y * y
    return np.sqrt(out, out=out)


def box(x: Array, y: Array, wide: Array | float, high: Array | float) -> Array:
    """The signed distance from a rectangle of half-width `wide` and half-height `high`."""
    return intersection(abs(x) - wide, abs(y) - high)


def wave(value: Array) -> Array:
    """A triangle wave of period 1: 0 at whole numbers, 1 half-way."""
    return 2 * abs(value - np.floor(value + 0.5))


def sine(turns: Array) -> Array:
    """The sine of an angle in turns, accurate to 0.001."""
    t = turns - np.floor(turns + 0.5)
    p = t * (8 - 16 * abs(t))
    return p + 0.225 * (p * abs(p) - p)


def turns(x: Array, y: Array) -> Array:
    """The angle of (x, y) in turns, -0.5 to 0.5, accurate to 0.0001: a polynomial for an eighth of the circle."""
    wide, high = abs(x), abs(y)
    ratio = np.minimum(wide, high) / np.maximum(np.maximum(wide, high), 1e-9)
    s = ratio * ratio
    angle = ratio * (0.1591549 + s * (-0.0521427 + s * (0.0253555 + s * -0.0074002)))
    angle = np.where(high > wide, 0.25 - angle, angle)
    angle = np.where(x < 0, 0.5 - angle, angle)
    return np.where(y < 0, -angle, angle)
