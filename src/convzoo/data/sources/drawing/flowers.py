"""Flowers of five kinds, near and far, one or several, before a meadow, the sky, the dark, or a blur of greens."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from convzoo.data.sources.drawing import blooms
from convzoo.data.sources.drawing.blooms import Bloom
from convzoo.data.sources.drawing.canvas import (
    Array,
    Canvas,
    Dice,
    Pair,
    by_kind,
    direction,
    length,
    local,
    ramp,
    rgb,
    sine,
    wave,
)

SIDE = 96  # pixels
NEAR = (0.32, 0.44, 0.58, 0.72, 0.92)  # bounds of classes of size: half a bloom, as a share of half the side
NEAR_CHANCES = (3, 3, 2, 1)  # of the classes
FAR = (0.15, 0.26)
COMPANY = (0.5, 0.35)  # the shares of pictures with a first and a second far bloom
SEEN_FROM_ABOVE = 0.15  # the share without a stem
BEND = 0.13  # of a stem: how far to the side, half a picture down
STEM_WINDOW = 44  # pixels across that hold a bent stem
GRAIN = 0.025
AT_A_TIME = 24  # pictures whose ground is painted together, for the processor's cache
GROUNDS = (3, 2, 1.2, 2)  # how often: meadow, sky, dark, blur
SKY = 1

GREENS = rgb("408026 599938 336b33 6b8c40 4d8052")
SKIES = rgb("5999e6 80b8f2 99bfe0 d9b39e")
DARKS = rgb("141a14 1a141f 0d121a 262421")

Look = Callable[[Bloom], None]


class Spot(NamedTuple):
    """Where flowers of one look stand: in the pictures `rows`, one each."""

    rows: Array
    centre: Pair
    size: Array  # half a bloom
    largest: float  # no size is above


class Kind(NamedTuple):
    """A kind of flower, in units of half a bloom."""

    looks: tuple[Look, ...]
    chances: tuple[float, ...]  # of the looks
    colours: Array
    stem: float  # half its width
    leaf: tuple[float, float]  # half its length and width
    low: float  # how far below the bloom the leaves begin
    rise: tuple[float, float]  # how the leaves point, in turns from level
    toothed: bool
    upright: bool  # seen from the side


KINDS = {
    "daisy": Kind(
        (blooms.daisy,), (1,), rgb("fafaf5 fafaf5 faf7e6 facce0 d1b8f2 fae066"),
        0.06, (0.5, 0.12), 1.5, (0.02, 0.12), False, False,
    ),
    "dandelion": Kind(
        (blooms.dandelion, blooms.clock), (0.65, 0.35), rgb("ffd91a fac714 ffe640"),
        0.07, (0.9, 0.2), 1.7, (0.02, 0.12), True, False,
    ),
    "rose": Kind(
        (blooms.rose,), (1,), rgb("cc1424 9e0a1f f28ca6 fac7b8 fadb66 f5f0e6 e66633"),
        0.07, (0.75, 0.36), 1.35, (0.02, 0.12), False, False,
    ),
    "sunflower": Kind(
        (blooms.sunflower,), (1,), rgb("fcc714 faad0f ffdb33 d97314"),
        0.09, (0.9, 0.45), 1.5, (0.02, 0.12), False, False,
    ),
    "tulip": Kind(
        (blooms.tulip,), (1,), rgb("d91a2e fa99b3 fcd126 9940a6 f7f2ed fa8026 591440"),
        0.09, (1.7, 0.2), 1.9, (0.14, 0.2), False, True,
    ),
}  # fmt: skip


def draw_flowers(labels: Array, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 96, 96, 3) of the kinds of flowers in KINDS, by label."""
    canvas = Canvas.blank(len(labels), SIDE)
    for start in range(0, len(labels), AT_A_TIME):
        ground(canvas.some(slice(start, start + AT_A_TIME)), generator)
    for label, kind in enumerate(KINDS.values()):
        rows = np.flatnonzero(labels == label)
        looks = Dice(generator, len(rows)).choice(kind.chances)
        for number, look in enumerate(kind.looks):
            plant(canvas, rows[looks == number], kind, look, generator)
    for start in range(0, len(labels), AT_A_TIME):
        light(canvas.some(slice(start, start + AT_A_TIME)), generator)
    return canvas.bytes()


def plant(canvas: Canvas, rows: Array, kind: Kind, look: Look, generator: np.random.Generator) -> None:
    """Flowers of one look into the pictures `rows`: far ones, then a near one."""
    colour = Dice(generator, len(rows)).colour(kind.colours, 0.05)
    for share in COMPANY:
        there = Dice(generator, len(rows)).chance(share)[:, 0] > 0
        dice = Dice(generator, int(there.sum()))
        centre = dice.between(-0.85, 0.85), dice.between(-0.75, 0.35)
        spot = Spot(rows[there], centre, dice.between(*FAR), FAR[1])
        flower(canvas, dice, spot, kind, look, colour[there])
    sizes = Dice(generator, len(rows)).choice(NEAR_CHANCES)
    for number, bounds in enumerate(pairwise(NEAR)):
        there = sizes == number
        dice = Dice(generator, int(there.sum()))
        centre = dice.between(-0.3, 0.3), dice.between(-0.35, 0.1)
        spot = Spot(rows[there], centre, dice.between(*bounds), bounds[1])
        flower(canvas, dice, spot, kind, look, colour[there])


def flower(canvas: Canvas, dice: Dice, spot: Spot, kind: Kind, look: Look, colour: Array) -> None:
    """A flower at each spot: stem and leaves, unless it is seen from above, and the bloom."""
    if not len(spot.rows):
        return
    (x, y), size = spot.centre, spot.size
    stands = dice.chance(1 if kind.upright else 1 - SEEN_FROM_ABOVE)
    green, bend = dice.colour(GREENS, 0.05), dice.between(-BEND, BEND)
    with canvas.window((x, np.zeros_like(x)), STEM_WINDOW, SIDE, spot.rows) as part:
        below = part.y - y
        beside = (part.x - x - bend * below * np.abs(below)) / size
        mask = part.cover(np.maximum((np.abs(beside) - kind.stem) * size, -below)) * stands
        part.paint(mask, green, 0.8 + 0.35 * ramp(beside, -0.6 * kind.stem, 0.6 * kind.stem))
    for side in (-1, 1):
        down = size * kind.low * dice.between(0.85, 1.25)
        root = spot._replace(centre=(x + bend * down * down, y + down))
        leaf(canvas, root, kind, side, direction(dice.between(*kind.rise)), green, stands)
    turn = direction(dice.between(-0.06, 0.06) if kind.upright else dice.between(0, 1))
    stretch = dice.between(0.9, 1.15) if kind.upright else dice.between(0.62, 1)
    with canvas.window(spot.centre, *pixels(1.18 * spot.largest), spot.rows) as part:
        look(Bloom(part, dice, *local(part, spot.centre, turn, size, stretch), size, colour))


def leaf(canvas: Canvas, root: Spot, kind: Kind, side: int, rise: Pair, green: Array, stands: Array) -> None:
    """A leaf to one side of the stem, where that `stands`."""
    long, ratio = root.size * kind.leaf[0], kind.leaf[0] / kind.leaf[1]
    across, up = rise[0] * side, -rise[1]
    middle = root.centre[0] + across * long, root.centre[1] + up * long
    with canvas.window(middle, *pixels(1.05 * root.largest * kind.leaf[0]), root.rows) as part:
        x, y = local(part, middle, (across, up), long)
        y *= ratio
        if kind.toothed:
            y *= 1 + 0.7 * wave(x * 2.5)
        thick = long / ratio * 0.8
        mask = part.cover((np.abs(y) + x * x - 1) * thick) * stands
        vein = part.cover(np.abs(y) * thick - 0.012)
        part.paint(mask, green, 0.62 + 0.25 * ramp(y * side, -0.1, 0.1) + 0.3 * vein)


def pixels(reach: float) -> tuple[int, int]:
    """The sides of a window that holds what reaches so far from its middle."""
    side = min(SIDE, int(reach * SIDE) + 3)
    return side, side


def ground(canvas: Canvas, generator: np.random.Generator) -> None:
    """A meadow with blades of grass, a sky with clouds, the dark, or a blur of greens."""
    count = canvas.planes.shape[1]
    dice = Dice(generator, count)
    kind, rows = dice.choice(GROUNDS), np.arange(count)
    meadow, sky, dark = dice.colour(GREENS, 0.06), dice.colour(SKIES, 0.06), dice.colour(DARKS, 0.04)
    upper = meadow * 1.15, sky, dark, dice.colour(GREENS, 0.1)
    lower = meadow * 0.7, np.minimum(sky + 0.22, 1), dark * 0.4, dice.colour(GREENS, 0.12) * 0.6
    over = dice.colour(GREENS, 0.05) * 0.45, np.ones_like(sky), dark, dice.colour(GREENS, 0.1) * 1.35
    upper, lower, over = (np.stack(colours)[kind, rows] for colours in (upper, lower, over))
    canvas.fill(upper)
    canvas.paint(ramp(-canvas.y, -0.9, 0.9)[None], lower)
    shift = dice.between(0, 1)
    x, y = canvas.x + dice.between(-0.4, 0.4) * canvas.y, canvas.y + 0 * shift
    canvas.paint(by_kind((blades, clouds, nothing, blur), kind, x, y, shift), over)
    for _ in range(3):
        glint(canvas, dice, kind)


def blades(x: Array, y: Array, shift: Array) -> Array:
    near = wave(x * 7 + 1.3 * sine(y * 0.35 + x * 0.9 + shift) + shift)
    near *= wave(x * 3.1 - y * 0.8 + 2 * shift)
    return ramp(near, -0.2, 0.75) * (0.35 + 0.25 * y)


def clouds(x: Array, y: Array, shift: Array) -> Array:
    puffs = sine(x * 0.55 + 0.25 * sine(y * 0.9 + shift) + shift)
    puffs += 0.6 * sine(y * 1.3 + 0.3 * sine(x * 1.1) + 2 * shift)
    return ramp(-puffs, -1.3, -0.1)


def nothing(x: Array, y: Array, shift: Array) -> Array:
    return np.zeros_like(x)


def blur(x: Array, y: Array, shift: Array) -> Array:
    return 0.35 + 0.35 * sine(x * 0.6 + 0.4 * sine(y * 0.5 + shift) + shift)


def glint(canvas: Canvas, dice: Dice, kind: Array) -> None:
    """A disc of light out of focus; not in the sky."""
    centre, size = (dice.between(-1, 1), dice.between(-1, 1)), dice.between(0.05, 0.2)
    colour = np.clip(dice.colour(GREENS, 0.3) + dice.between(0, 0.5), 0, 1)
    strength = dice.between(0.1, 0.5) * (kind != SKY)[:, None]
    with canvas.window(centre, *pixels(0.24)) as part:
        part.paint(part.cover(length(part.x - centre[0], part.y - centre[1]) - size, 3) * strength, colour)


def light(canvas: Canvas, generator: np.random.Generator) -> None:
    """More light from one side, and grain."""
    dice = Dice(generator, canvas.planes.shape[1])
    lamp = 1 + dice.between(-0.12, 0.12) * canvas.x
    lamp += dice.between(-0.15, 0.1) * canvas.y
    lamp *= dice.between(0.85, 1.1)
    canvas.planes *= lamp
    canvas.planes += dice.noise(SIDE * SIDE) * GRAIN
