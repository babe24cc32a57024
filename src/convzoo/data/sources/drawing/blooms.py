"""The blooms of five kinds of flowers.

Each function paints one bloom into every picture of a canvas. In a bloom's units, its middle is at (0, 0) and its edge
at about 1; y points downwards where the flower stands upright.
"""

from typing import NamedTuple

import numpy as np

from convzoo.data.sources.drawing.canvas import Array, Canvas, Dice, length, ramp, rgb, sine, turns, wave

GOLDEN = 0.382  # neighbouring petals differ by this part of a wave, and so never in step
FULL = 6.2832  # a full turn in radians
EYES = rgb("fac71a f2a61a d9bf33")  # of daisies
SEEDS = rgb("4d2b14 331f14 61401a")  # of sunflowers


class Bloom(NamedTuple):
    """One bloom in each picture of a canvas: where it is, and its colour (N, 3)."""

    canvas: Canvas
    dice: Dice
    x: Array  # the pixels' places in the bloom's units; so y
    y: Array
    size: Array  # of a unit in the picture
    colour: Array

    def cover(self, distance: Array, soft: float = 1) -> Array:
        return self.canvas.cover(distance * self.size, soft)

    def paint(self, mask: Array, colour: Array, light: Array | None = None) -> None:
        self.canvas.paint(mask, colour, light)


def daisy(bloom: Bloom) -> None:
    dice, radius = bloom.dice, length(bloom.x, bloom.y)
    rays(bloom, radius, dice.between(11, 19), dice.between(1.4, 2.0), pointed=False)
    button(bloom, radius, dice.between(0.2, 0.32), dice.colour(EYES, 0.04), 0.62, 9)


def sunflower(bloom: Bloom) -> None:
    dice, radius = bloom.dice, length(bloom.x, bloom.y)
    rays(bloom, radius, dice.between(14, 22), dice.between(1.8, 2.4), pointed=True)
    heart, seeds = dice.between(0.4, 0.54), dice.colour(SEEDS, 0.03)
    button(bloom, radius, heart, seeds, 0.4, 13)
    bloom.paint(ramp(radius / heart, 0.25, 0.55) * 0.6, seeds * 0.7 + rgb("1a2405"))


def rays(bloom: Bloom, radius: Array, count: Array, broad: Array, pointed: bool) -> None:
    """Two rounds of about `count` petals, the one behind in the shade, darker at the rim and towards the middle."""
    count, angle = np.floor(count), turns(bloom.x, bloom.y)
    wide = broad / count
    for turn, strength in enumerate((0.75, 1.0)):
        across, number = folded(angle, radius, count, bloom.dice.between(0, 1))
        across = np.abs(across)
        along = radius / (0.88 + 0.12 * wave(number * GOLDEN + 0.5 * turn))
        along -= 0.58
        along *= 1 / 0.42
        petal = across + (along * along - 1) * wide if pointed else (length(along, across / wide) - 1) * wide
        light = ramp(across / wide, 0.2, 1.05)
        light *= ramp(-radius, -0.75, -0.3)
        light *= 0.24 * strength
        light += 0.76 * strength
        bloom.paint(bloom.cover(petal), bloom.colour, light)


def folded(angle: Array, radius: Array, count: Array, phase: Array) -> tuple[Array, Array]:
    """How far beside the middle of the nearest of `count` petals, and that petal's number."""
    place = angle * count
    place += phase
    number = np.floor(place + 0.5)
    place -= number
    place *= radius
    return place * (FULL / count), number - count * np.floor(number / count)


def button(bloom: Bloom, radius: Array, heart: Array, colour: Array, dark: float, grains: float) -> None:
    """The disc of florets in the middle, `dark` at its edge."""
    x, y = bloom.x / heart, bloom.y / heart
    light = ramp(length(x + 0.12, y + 0.15), 0.45, 1.15)
    light *= 0.5 + 0.5 * wave((x * 0.5 + y * 0.2) * grains) * wave((y * 0.5 - x * 0.2) * grains)
    bloom.paint(bloom.cover(radius - heart), colour, dark + (1.1 - dark) * light)


def dandelion(bloom: Bloom) -> None:
    radius, angle = length(bloom.x, bloom.y), turns(bloom.x, bloom.y)
    for layer, reach in enumerate((1.0, 0.84, 0.64, 0.4)):
        count = np.floor(bloom.dice.between(26, 40) * (1 - 0.15 * layer))
        across, number = folded(angle, radius, count, bloom.dice.between(0, 1))
        across = np.abs(across)
        ends = radius - reach * (0.86 + 0.14 * wave(number * GOLDEN + 0.29 * layer))
        mask = bloom.cover(np.maximum(across - 2.6 / count * (0.35 + 0.65 * radius), ends))
        bloom.paint(mask, bloom.colour, ramp(across * (count / 2.6), 0.1, 0.9) * 0.2 + (0.74 + 0.07 * layer))


def clock(bloom: Bloom) -> None:
    """A dandelion's ball of seeds; of its colour, only a hint is left."""
    radius, angle = length(bloom.x, bloom.y), turns(bloom.x, bloom.y)
    white = 0.9 + 0.1 * bloom.colour
    bloom.paint(bloom.cover(radius - 0.98, 5) * (0.28 + 0.3 * np.minimum(radius, 1)), white * 0.86)
    for layer, reach in enumerate((0.95, 0.7, 0.42)):
        count = np.floor(bloom.dice.between(22, 32) * (1 - 0.22 * layer))
        across, number = folded(angle, radius, count, bloom.dice.between(0, 1))
        ends = radius - reach * (0.9 + 0.1 * wave(number * GOLDEN))
        thread = bloom.cover(np.maximum(np.abs(across) - 0.012, ends)) * 0.55
        bloom.paint(np.maximum(thread, bloom.cover(length(across * 0.8, ends) - 0.075, 2) * 0.85), white)
    bloom.paint(bloom.cover(radius - 0.15), rgb("735c3d"))


def rose(bloom: Bloom) -> None:
    dice, angle = bloom.dice, turns(bloom.x, bloom.y)
    dark = bloom.colour * np.array([0.5, 0.4, 0.42], np.float32)
    for layer, reach in enumerate((1.0, 0.84, 0.68, 0.52, 0.37, 0.22)):
        phase, drift = dice.between(0, 1), 0.025 * layer
        radius = length(bloom.x - dice.between(-drift, drift), bloom.y - dice.between(-drift, drift))
        lobe = wave(angle * (5 - layer // 2) + phase)
        edge = (0.88 + 0.12 * np.sqrt(lobe)) * reach - radius
        bloom.paint(bloom.cover(-0.02 - edge, 2) * 0.85, dark)
        # The rim catches light, one side more than the other; where two petals of a round meet, it is dark.
        light = ramp(edge, 0.012 + 0.014 * reach, 0.03 + 0.14 * reach)
        light *= 0.2 + 0.16 * sine(angle + 0.1 * layer + phase * 0.3)
        light += 0.74 + 0.05 * layer if layer % 2 else 0.86 + 0.02 * layer
        seam = ramp(lobe, 0.06, 0.22)
        seam *= ramp(-radius, -0.95 * reach, -0.6 * reach)
        light *= 1 - 0.3 * seam
        bloom.paint(bloom.cover(-edge), bloom.colour, light)


def tulip(bloom: Bloom) -> None:
    dice, colour = bloom.dice, bloom.colour
    pale = np.clip(colour * 1.1 + dice.between(0.02, 0.3), 0, 1)
    wide, spread, flame = dice.between(0.42, 0.54), dice.between(0.02, 0.22), dice.between(0.2, 0.8)
    # Two petals behind, two at the sides, one in front.
    petals = (-0.25, 0.1, 0.62), (0.25, 0.1, 0.62), (-0.62, 0.0, 0.82), (0.62, 0.0, 0.82), (0, -0.06, 1)
    for aside, lower, light in petals:
        lean = aside * (0.55 + spread * 1.4)
        beside = np.abs(bloom.x + ((bloom.y - 0.85) * 0.42 - 0.55) * lean)
        down = np.clip(bloom.y - lower + 0.08 * np.abs(lean), -1.3, 1.3)
        # A petal is widest below its middle; towards both ends its outline bends inwards.
        petal = beside + (down * down * (0.45 + 0.55 * np.abs(down)) - 0.93) * (1 + 0.42 * down) * wide
        bloom.paint(bloom.cover(petal - 0.045), colour * (0.45 * light))
        mask = bloom.cover(petal)
        bloom.paint(mask, colour * light, 1.12 - 0.16 * down)
        streak = ramp(beside, 0, 0.16)
        streak *= ramp(-down, -0.8, 0.3)
        bloom.paint(mask * streak * flame, pale * light)
        bloom.paint(mask * ramp(-down, -0.85, -0.45) * 0.5, rgb("99ad4d") * light)
