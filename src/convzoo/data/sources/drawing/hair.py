"""Hair of cartoon faces: what hangs behind the head, what lies before it, and what is worn in it.

Places are in a head's units, as in faces.py.
"""

import numpy as np

from convzoo.data.sources.drawing.canvas import (
    Array,
    Canvas,
    Dice,
    by_kind,
    length,
    ramp,
    rgb,
    segment,
    sine,
    turns,
    wave,
)
from convzoo.data.sources.drawing.head import Head

COLOURS = rgb("332b38 613d2e 946138 f7d685 eb8538 c73840 faa8c2 7aa6ed 45549e 9973cc 7ac794 d6dbeb 6bc7cc")
WORN = rgb("e6334d facc40 4d80e6 fafafa 403840 f280b3")
PINK = rgb("a67380")  # inside a cat's ear, and a part of the hair's colour
BACKS = (3, 3, 4, 2, 1.5, 1, 1.5)  # how often: short, bob, long, tails, ponytail, buns, spiky
FRONTS = (2, 3, 2, 2, 2)  # straight, jagged, parted, swept, strand
WEARS = (10, 3, 3, 2, 2)  # nothing, a bow, a pin, a band, a cat's ears
SPIKY = 6
BOW, PIN, BAND, EARS = 1, 2, 3, 4


class Hair:
    """A head of hair for each picture."""

    def __init__(self, dice: Dice) -> None:
        self.colour = dice.colour(COLOURS, 0.06)
        self.ink = self.colour * 0.42
        self.back, self.front, self.worn = (dice.choice(weights) for weights in (BACKS, FRONTS, WEARS))
        self.volume = dice.between(1.07, 1.16)
        self.ends = dice.between(0, 1)  # how long or wide the ends are
        self.side = 2 * dice.chance(0.5) - 1
        self.phase = dice.between(-0.3, 0.3)
        self.low = dice.between(-0.1, 0.06)
        self.locks = np.where(dice.chance(0.75) > 0, dice.between(0.35, 1.15), -9)  # how far down they reach
        self.shine = dice.between(0, 0.75)
        self.curled = np.flatnonzero(dice.chance(0.25)[:, 0])
        self.wear = dice.colour(WORN, 0.04)

    def behind(self, canvas: Canvas, head: Head) -> None:
        """Paint what hangs behind the head, and a cat's ears."""
        x, y = head.see(canvas)
        x += 0.05 * head.aside
        styles = short, bob, long, tails, ponytail, buns, spiky
        distance = by_kind(styles, self.back, x * self.side, y, self.volume, self.ends)
        canvas.paint(head.cover(canvas, distance - 0.06), self.ink)
        strands = ramp(-wave(x * 3.3 + self.phase), -0.95, -0.7)
        canvas.paint(head.cover(canvas, distance), self.colour, 0.78 - 0.1 * strands)
        rows = np.flatnonzero(self.worn == EARS)
        x, y = np.abs(x[rows]), y[rows]
        ears = np.maximum(np.abs(x - 0.54 + 0.18 * y) * 0.87 - (y + 1.62) * 0.5, y + 0.6)
        self._some(canvas, head, rows, ears - 0.06, self.ink)
        self._some(canvas, head, rows, ears, self.colour)
        self._some(canvas, head, rows, ears + 0.13, self.colour * 0.3 + PINK)

    def fringe(self, x: Array) -> Array:
        """How far down the hair hangs into the face, at each place across."""
        edge = by_kind((straight, jagged, parted, swept, strand), self.front, x * self.side, self.phase)
        return edge + self.low + 1.6 * np.maximum(np.abs(x) - 0.72, 0)

    def before(self, canvas: Canvas, head: Head) -> None:
        """Paint what lies before the head, and what is worn there."""
        x, y = head.see(canvas)
        crown = length(x / self.volume, (y + 0.2) / (self.volume + 0.02)) - 1
        rows = np.flatnonzero(self.back == SPIKY)
        crown[rows] = spiky(x[rows] * self.side[rows], y[rows], self.volume[rows], self.ends[rows])
        lock = np.abs(np.abs(x) - 0.93 + 0.1 * y * y) - 0.2 * (self.locks - y) / (np.abs(self.locks) + 0.4)
        lock = np.maximum(lock, np.maximum(y - self.locks, -y - 0.4))
        over = x - 0.1 * head.aside
        hair = np.minimum(np.maximum(crown, (y - self.fringe(over)) * 0.7), lock)
        canvas.paint(head.cover(canvas, hair - 0.045), self.ink)
        inside = head.cover(canvas, hair)
        # Darker towards the ends, with strands there; the crown gleams.
        bend = over * (3.15 - 0.735 * y) + self.phase
        light = 1 - 0.13 * ramp(-y, -0.2, 0.9)
        light -= 0.28 * ramp(-wave(bend), -0.97, -0.8) * ramp(-y, -0.6, 0.9)
        canvas.paint(inside, self.colour, light)
        gleam = np.abs(y + 0.62 - 0.22 * over * over + 0.07 * wave(bend * 2)) - 0.09
        inside *= head.cover(canvas, np.maximum(gleam, np.abs(over + 0.1) - 0.62), 2)
        canvas.paint(inside * self.shine, np.minimum(self.colour * 0.55 + 0.5, 1))
        rows = self.curled
        u, v = x[rows] * self.side[rows], y[rows]
        curl = np.maximum(length(u - 0.3, v + 1.2) - 0.36, 0.31 - length(u - 0.36, v + 1.12))
        curl = np.maximum(curl, u - 0.52)
        self._some(canvas, head, rows, curl - 0.03, self.ink)
        self._some(canvas, head, rows, curl, self.colour)
        rows = np.flatnonzero(self.worn == BAND)
        u, v = x[rows], y[rows]
        strap = np.maximum(np.abs(v + 0.9 - 0.55 * u * u) - 0.09, skull(u, v, self.volume[rows]))
        self._some(canvas, head, rows, strap - 0.03, self.wear * 0.5)
        self._some(canvas, head, rows, strap, self.wear)
        self._bow(canvas, head)
        self._pin(canvas, head)

    def _bow(self, canvas: Canvas, head: Head) -> None:
        rows = np.flatnonzero(self.worn == BOW)
        side, wear = self.side[rows], self.wear[rows]
        x, y = head.place(0.72 * self.side, 0 * self.side - 0.92)
        with canvas.window((x[rows], y[rows]), 26, 26, rows) as part:
            x, y = head.see(part, rows)
            x, y = x - 0.72 * side, y + 0.92
            x, y = x * 0.85 + y * 0.5 * side, y * 0.85 - x * 0.5 * side
            wings = np.maximum(np.abs(y) * 0.85 - np.abs(x) * 0.5 - 0.03, np.abs(x) - 0.42)
            knot = length(x, y) - 0.12
            part.paint(head.cover(part, np.minimum(wings, knot) - 0.05, rows=rows), wear * 0.4)
            part.paint(head.cover(part, wings, rows=rows), wear)
            part.paint(head.cover(part, knot, rows=rows), wear * 0.75)

    def _pin(self, canvas: Canvas, head: Head) -> None:
        rows = np.flatnonzero(self.worn == PIN)
        side, wear = self.side[rows], self.wear[rows]
        x, y = head.place(0.62 * self.side, 0 * self.side - 0.42)
        with canvas.window((x[rows], y[rows]), 16, 16, rows) as part:
            x, y = head.see(part, rows)
            x, y = x * side - 0.62, y + 0.42
            bars = np.minimum(segment(x, y, (-0.16, -0.1), (0.16, 0.06)), segment(x, y, (-0.16, 0.08), (0.14, -0.12)))
            part.paint(head.cover(part, bars - 0.09, rows=rows), wear * 0.5)
            part.paint(head.cover(part, bars - 0.05, rows=rows), wear)

    def _some(self, canvas: Canvas, head: Head, rows: Array, distance: Array, colour: Array) -> None:
        """Paint what only some of the pictures have."""
        part = Canvas(canvas.planes[:, rows], canvas.x, canvas.y, canvas.pixel)
        part.paint(head.cover(part, distance, rows=rows), colour[rows])
        canvas.planes[:, rows] = part.planes


# What hangs behind: signed distances from places, the hair's volume and its ends.


def skull(x: Array, y: Array, volume: Array) -> Array:
    return length(x / volume, (y + 0.2) / volume) - 1


def short(x: Array, y: Array, volume: Array, ends: Array) -> Array:
    nape = np.maximum(np.abs(x) - 0.9 + 0.25 * np.maximum(y, 0), -y - 0.2)
    return np.minimum(skull(x, y, volume), np.maximum(nape, y - 0.6 - 0.2 * wave(x * 2.5)))


def bob(x: Array, y: Array, volume: Array, ends: Array) -> Array:
    wide = np.maximum(np.abs(x) - volume - 0.06 + 0.18 * np.maximum(y - 0.3, 0), -y - 0.2)
    return np.minimum(skull(x, y, volume), np.maximum(wide, y - 0.75 - 0.3 * ends - 0.1 * wave(x * 3)))


def long(x: Array, y: Array, volume: Array, ends: Array) -> Array:
    wide = np.abs(x) - volume - (0.02 + 0.2 * ends) * np.maximum(y + 0.2, 0) - 0.04 * sine(y * 0.8)
    return np.minimum(skull(x, y, volume), np.maximum(wide, -y - 0.2))


def tails(x: Array, y: Array, volume: Array, ends: Array) -> Array:
    along = np.clip((y + 0.7) * 0.45, 0, 1.2)
    tail = np.abs(np.abs(x) - 1.12 - 0.75 * along + 0.45 * along * along)
    tail -= 0.38 * np.sqrt(along + 0.02) * (1.35 - along)
    return np.minimum(short(x, y, volume, ends), np.maximum(tail, np.maximum(-0.75 - y, y - 1.2 - 0.6 * ends)))


def ponytail(x: Array, y: Array, volume: Array, ends: Array) -> Array:
    along = np.clip((y + 1.1) * 0.4, 0, 1.2)
    tail = np.abs(x - 0.75 - 1.1 * along + 0.75 * along * along)
    tail -= 0.42 * np.sqrt(along + 0.02) * (1.3 - along)
    return np.minimum(short(x, y, volume, ends), np.maximum(tail, np.maximum(-1.15 - y, y - 0.9 - 0.6 * ends)))


def buns(x: Array, y: Array, volume: Array, ends: Array) -> Array:
    return np.minimum(short(x, y, volume, ends), length(np.abs(x) - 0.86, y + 1.02) - 0.34 - 0.1 * ends)


def spiky(x: Array, y: Array, volume: Array, ends: Array) -> Array:
    spikes = wave(turns(x, y + 0.2) * 11 + ends) * 0.24
    return skull(x, y, volume) + 0.02 - spikes * ramp(y, -0.2, 0.9)


# How far down the fringe hangs at a place across.


def straight(x: Array, phase: Array) -> Array:
    return -0.13 + 0.07 * wave(x * 2.6 + phase)


def jagged(x: Array, phase: Array) -> Array:
    return -0.4 + 0.42 * wave(x * 1.55 + 0.3 * x * x + phase)


def parted(x: Array, phase: Array) -> Array:
    return np.minimum(-0.85 + 1.25 * np.abs(x - phase), 0) - 0.05 * wave(x * 3)


def swept(x: Array, phase: Array) -> Array:
    return -0.32 + 0.36 * x + 0.14 * wave(x * 2.2 - 0.2 * x * x + phase)


def strand(x: Array, phase: Array) -> Array:
    middle = np.maximum(1 - np.abs(x - 0.3 * phase) * 4.5, 0)
    return -0.42 + 0.18 * wave(x * 1.2 + 0.5) + 0.5 * middle + 0.25 * np.abs(x)
