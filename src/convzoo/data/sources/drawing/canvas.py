"""What all drawings share: pictures in the making, masks from distances, colours, angles and waves.

A mask is made from a signed distance (negative inside), so that edges are smooth without drawing at a larger size.
Pixels see only operations that IEEE 754 rounds alike everywhere (no library sine or logarithm, no sums over an axis),
so that a seed gives the same bytes on every machine. What is drawn for N pictures is a column, float32 (N, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
Array = np.ndarray
Pair = tuple[Array, Array]


class Canvas:
    """N square pictures: `planes` float32 (3, N, side * side) from 0 to 1, red, green and blue.

    `x` and `y` are the places of the pixels' centres, from -1 to 1, y downwards: float32 (side * side,), or
    (N, side * side) where each picture is a window into another one.
    """

    def __init__(self, planes: Array, x: Array, y: Array, pixel: float) -> None:
        self.planes, self.x, self.y, self.pixel = planes, x, y, pixel

    @classmethod
    def blank(cls, count: int, side: int) -> Canvas:
        """`count` pictures, whatever is in them."""
        centres = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
        planes = np.empty((3, count, side * side), np.float32)
        return cls(planes, np.tile(centres, side), np.repeat(centres, side), 2 / side)

    def some(self, rows: slice) -> Canvas:
        """A view of some of the pictures: what is painted there is painted here."""
        return Canvas(self.planes[:, rows], self.x, self.y, self.pixel)

    @contextmanager
    def window(self, centre: Pair, wide: int, high: int, rows: Array | None = None) -> Iterator[Canvas]:
        """A canvas of `wide` times `high` pixels around a place in each picture (or in those of `rows`), put back at
        the end. At an edge, the window is moved inwards."""
        whole = round(2 / self.pixel)
        left, top = (
            np.clip(np.floor((part + 1) / self.pixel - side / 2 + 0.5).astype(np.int64), 0, whole - side)
            for part, side in zip(centre, (wide, high), strict=True)
        )
        rows = np.arange(self.planes.shape[1]) if rows is None else rows
        pictures = self.planes.reshape(3, -1, whole, whole)
        windows = [
            pictures[:, row, up : up + high, start : start + wide]
            for row, start, up in zip(rows.tolist(), left[:, 0].tolist(), top[:, 0].tolist(), strict=True)
        ]
        shape = len(rows), high, wide
        planes = np.empty((3, *shape), np.float32)
        for number, window in enumerate(windows):
            planes[:, number] = window
        x = np.broadcast_to(self.x[left + np.arange(wide)][:, None, :], shape)
        y = np.broadcast_to(self.x[top + np.arange(high)][:, :, None], shape)
        flat = len(rows), high * wide
        yield Canvas(planes.reshape(3, *flat), x.reshape(flat), y.reshape(flat), self.pixel)
        for number, window in enumerate(windows):
            window[:] = planes[:, number]

    def fill(self, colour: Array) -> None:
        """Make each picture its colour (N, 3)."""
        self.planes[:] = colour.T[:, :, None]

    def cover(self, distance: Array, soft: float = 1) -> Array:
        """How much of each pixel lies inside, 0 to 1; the edge is `soft` pixels wide."""
        return ramp(distance, -0.5 * soft * self.pixel, 0.5 * soft * self.pixel)

    def paint(self, mask: Array, colour: Array, light: Array | None = None) -> None:
        """Lay a colour, (N, 3) or (3,) for all, over the pictures where `mask` (N, pixels) is 1, partly where less;
        times `light` (N, pixels), where that is given."""
        for plane, value in zip(self.planes, np.atleast_2d(colour).T[:, :, None], strict=True):
            over = value - plane if light is None else value * light - plane
            over *= mask
            plane += over

    def bytes(self) -> Array:
        """The pictures, uint8 (N, side, side, 3)."""
        side = round(2 / self.pixel)
        out = np.empty((self.planes.shape[1], side * side, 3), np.uint8)
        for channel, plane in enumerate(self.planes):
            levels = plane * 255
            levels += 0.5
            np.clip(levels, 0, 255, out=levels)
            out[:, :, channel] = levels
        return out.reshape(-1, side, side, 3)


class Dice:
    """Draws for N pictures at a time from one generator."""

    def __init__(self, generator: np.random.Generator, count: int) -> None:
        self.generator, self.count = generator, count

    def between(self, low: float, high: float) -> Array:
        """Even between two bounds, a column."""
        return low + (high - low) * self.generator.random((self.count, 1), np.float32)

    def apart(self, low: float, high: float) -> Array:
        """Even between two bounds, above or below 0, a column."""
        return self.between(low, high) * (2 * self.chance(0.5) - 1)

    def chance(self, share: float) -> Array:
        """1 in that share of the pictures, else 0, a column."""
        return (self.generator.random((self.count, 1), np.float32) < share).astype(np.float32)

    def choice(self, weights: Sequence[float]) -> Array:
        """Numbers from 0, int64 (N,), as often as their weights say."""
        bounds = np.cumsum(weights)
        return np.searchsorted(bounds, self.generator.random(self.count) * bounds[-1], side="right")

    def noise(self, pixels: int) -> Array:
        """Grain, float32 (N, pixels), from -1 to 1, mean 0, mostly small: the sum of two even draws."""
        raw = self.generator.integers(0, 256, (2, self.count, pixels), np.uint8)
        return (raw[0].astype(np.float32) + raw[1] - 255) * (1 / 255)

    def colour(self, palette: Array, spread: float) -> Array:
        """Colours (N, 3) of a palette (K, 3), each a little lighter or darker and shifted, by `spread` at most."""
        chosen = palette[self.generator.integers(0, len(palette), self.count)]
        shift = (self.generator.random((self.count, 3), np.float32) - 0.5) * spread
        return np.clip(chosen + shift + self.between(-spread, spread), 0, 1)


def rgb(colours: str) -> Array:
    """Colours in hexadecimal, as float32 (K, 3) from 0 to 1; one alone as (3,)."""
    levels = np.array([list(bytes.fromhex(colour)) for colour in colours.split()], np.float32) / 255
    return levels if len(levels) > 1 else levels[0]


def ramp(value: Array, start: float | Array, stop: float | Array) -> Array:
    """1 up to `start`, 0 from `stop`, straight between."""
    out = stop - value
    out *= 1 / (stop - start)
    return np.clip(out, 0, 1, out=out)


def local(canvas: Canvas, centre: Pair, turn: Pair, size: Array, stretch: Array | float = 1) -> Pair:
    """The pixels' places as seen from `centre`, turned by the unit vector `turn`, in units of `size`, `stretch` times
    as large downwards."""
    cos, sin = (part / size for part in turn)
    x, y = canvas.x - centre[0], canvas.y - centre[1]
    across = x * cos
    across += y * sin
    y *= cos / stretch
    x *= sin / stretch
    y -= x
    return across, y


def length(x: Array, y: Array) -> Array:
    """The distance from the origin."""
    out = x * x
    out += y * y
    return np.sqrt(out, out=out)


def segment(x: Array, y: Array, start: tuple, stop: tuple) -> Array:
    """The distance from a straight line between two places."""
    along, down = stop[0] - start[0], stop[1] - start[1]
    x, y = x - start[0], y - start[1]
    share = np.clip((x * along + y * down) * (1 / (along * along + down * down)), 0, 1)
    return length(x - share * along, y - share * down)


def wave(value: Array) -> Array:
    """A triangle wave of period 1: 0 at whole numbers, 1 half-way."""
    return 2 * np.abs(value - np.floor(value + 0.5))


def sine(turns: Array) -> Array:
    """The sine of an angle in turns, right to 0.001."""
    t = turns - np.floor(turns + 0.5)
    p = t * (8 - 16 * np.abs(t))
    return p + 0.225 * (p * np.abs(p) - p)


def direction(turns: Array) -> Pair:
    """The unit vector (cosine, sine) of an angle in turns."""
    cos, sin = sine(turns + 0.25), sine(turns)
    size = length(cos, sin)
    return cos / size, sin / size


def turns(x: Array, y: Array) -> Array:
    """The angle of (x, y) in turns, -0.5 to 0.5, right to 0.0001: a polynomial, for an eighth of the circle."""
    wide, high = np.abs(x), np.abs(y)
    ratio = np.minimum(wide, high) / np.maximum(np.maximum(wide, high), 1e-9)
    s = ratio * ratio
    angle = ratio * (0.1591549 + s * (-0.0521427 + s * (0.0253555 + s * -0.0074002)))
    angle = np.where(high > wide, 0.25 - angle, angle)
    angle = np.where(x < 0, 0.5 - angle, angle)
    return np.where(y < 0, -angle, angle)


def tinted(hue: Array, vivid: Array, luma: Array) -> Array:
    """Colours (N, 3) from columns: a hue (0 red, 1/3 green, 2/3 blue, 1 red), from grey (`vivid` 0) to pure (1), as
    light as `luma` says."""
    pure = np.clip(3 * wave(hue + np.array([0.5, 1 / 6, 5 / 6], np.float32)) - 1, 0, 1)
    grey = sum(weight * pure[:, channel, None] for channel, weight in enumerate(LUMA))
    return np.clip(luma + vivid * (pure - grey), 0, 1)


def by_kind(functions: Sequence[Callable[..., Array]], kinds: Array, *arguments: Array) -> Array:
    """The rows that each picture's function gives for its rows of the arguments."""
    out = np.empty_like(arguments[0])
    for kind, function in enumerate(functions):
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            out[rows] = function(*(argument[rows] for argument in arguments))
    return out
