"""Flowers of five kinds, 96x96 pixels.

What varies within a kind: place, size, tilt and colour of the flower; number, width and length of its petals; perhaps a
second flower, farther away; stem and leaves; the ground, which is a meadow, a sky or dark, blurred or grassy; light and
grain.

In the coordinates of a flower, the middle of the bloom is at (0, 0), its edge is about 1 away and the stem goes down.
"""

from copy import copy

import numpy as np

from convzoo.data.sources.drawing.canvas import Array, Canvas, intersection, length, rgb, sine, turns, wave

SIDE = 96  # pixels
FULL = 6.2832  # a full turn in radians
GREENS = rgb("408026 599938 336b33 6b8c40 4d8052")
GROUNDS = rgb("408026 599938 336b33 6b8c40 4d8052 5999e6 80b8f2 d9b39e 141a14 262421")
DAISIES = rgb("fafaf5 fafaf5 faf7e6 facce0 d1b8f2 fae066")
DANDELIONS = rgb("ffd91a fac714 ffe640")
ROSES = rgb("cc1424 9e0a1f f28ca6 fac7b8 fadb66 f5f0e6 e66633")
SUNFLOWERS = rgb("fcc714 faad0f ffdb33 d97314")
TULIPS = rgb("d91a2e fa99b3 fcd126 9940a6 f7f2ed fa8026 591440")
WHITE = rgb("f0f0eb")
EYES, SEEDS = rgb("fac71a f2a61a d9bf33"), rgb("4d2b14 331f14 61401a")  # the middles of daisies and of sunflowers


def draw_flowers(labels: Array, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 96, 96, 3) of the kinds of flowers in KINDS, by label."""
    canvas = Canvas(len(labels), SIDE, generator)
    between = canvas.between
    ground(canvas)
    x, y, size = between(-0.3, 0.3), between(-0.35, 0.1), between(0.32, 0.85)
    near = canvas.zoom(x, y, size, between(-0.06, 0.06), between(0.7, 1))
    x = between(-0.9, 0.9) + 9 * canvas.chance(0.4)  # in these pictures, out of sight
    far = canvas.zoom(x, between(-0.75, 0.35), between(0.15, 0.26), between(-0.06, 0.06))
    green = canvas.colour(GREENS)
    stem(far, green)
    stem(near, green)
    leaves(near, green, labels == list(KINDS).index("tulip"))
    flower = nearest(near, far)
    for label, bloom in enumerate(KINDS.values()):
        part = flower.select(labels == label)
        bloom(part)
        canvas.planes[:, labels == label] = part.planes
    canvas.weather(light=0.15, grain=0.018)
    return canvas.images()


def ground(canvas: Canvas) -> None:
    """One colour with waves of another tone, as broad as clouds to as fine as grass, and darker at the bottom."""
    between = canvas.between
    colour = canvas.colour(GROUNDS)
    canvas.fill(colour)
    view = canvas.zoom(between(-1, 1), between(-1, 1), between(0.2, 2), between(-0.05, 0.05))
    waves = sine(0.7 * view.x + 0.4 * sine(0.2 * view.y))
    canvas.paint(0.5 + 0.5 * waves, colour * between(0.6, 1.6))
    canvas.paint(0.5 + 0.5 * canvas.y[None], colour * between(0.4, 0.9))


def stem(flower: Canvas, green: Array) -> None:
    """A bent stem below the bloom."""
    bent = abs(flower.x + flower.between(-0.08, 0.08) * flower.y * flower.y) - 0.08
    flower.paint(flower.cover(intersection(bent, -flower.y)), green * 0.85)


def leaves(flower: Canvas, green: Array, tulip: Array) -> None:
    """A leaf to each side of the stem, long and upright if it is a `tulip`."""
    tulip = tulip[:, None].astype(np.float32)
    long, ratio, rise = 0.8 + 0.7 * tulip, 2.5 + 4.5 * tulip, 0.05 + 0.12 * tulip
    cos, sin = sine(rise + 0.25) / long, sine(rise) / long
    x, y = abs(flower.x), flower.y - flower.between(1.3, 1.8)
    along, beside = x * cos - y * sin - 1, (x * sin + y * cos) * ratio
    flower.paint(flower.cover((abs(beside) + along * along - 1) * (long / ratio)), green, 0.75 + 0.15 * beside)


def nearest(one: Canvas, other: Canvas) -> Canvas:
    """The coordinates of the flower that is nearer to each pixel, measured in sizes of the flowers."""
    view = copy(one)
    nearer = length(other.x, other.y) < length(one.x, one.y)
    view.x, view.y = np.where(nearer, other.x, one.x), np.where(nearer, other.y, one.y)
    view.pixel = np.where(nearer, other.pixel, one.pixel)
    return view


def petals(flower: Canvas, colour: Array, count: Array, width: Array | float, reaches: tuple, blunt: bool) -> None:
    """Rounds of petals, each lighter and in front of the one before; `width` 1 is as wide as leaves no gap."""
    radius, angle = length(flower.x, flower.y), turns(flower.x, flower.y)
    for turn, reach in enumerate(reaches):
        number = np.floor(count * (1 - 0.15 * turn))
        half = width * FULL / 2 / number  # of a petal's width
        place = angle * number + flower.between(0, 1)
        across, place = place - np.floor(place + 0.5), np.floor(place + 0.5)
        across = abs(across) * radius * (2 / width)
        along = (radius / (0.88 + 0.12 * wave(place * 0.382)) / reach - 0.58) / 0.42
        along *= along
        mask = flower.cover((across + (along * along if blunt else along) - 1) * half)
        shade = 0.8 + 0.2 * turn / (len(reaches) - 1)
        flower.paint(mask, colour * shade, (1.15 - 0.4 * across) * (0.7 + 0.3 * np.minimum(radius, 1)))


def button(flower: Canvas, colour: Array, size: Array) -> None:
    """The disc in the middle of a bloom."""
    x, y = flower.x / size, flower.y / size
    grains = wave(x * 2.5 + y) * wave(y * 2.5 - x)
    flower.paint(flower.cover((length(x, y) - 1) * size), colour, (0.8 + 0.3 * grains) * (0.9 - 0.2 * y))


def daisy(flower: Canvas) -> None:
    """Two rounds of blunt petals around a small yellow disc."""
    petals(flower, flower.colour(DAISIES), flower.between(11, 19), flower.between(0.7, 1), (1, 0.95), blunt=True)
    button(flower, flower.colour(EYES), flower.between(0.2, 0.32))


def dandelion(flower: Canvas) -> None:
    """Rounds of many narrow petals; or, in a third of the pictures, of the white threads of its seeds."""
    seeds = flower.chance(0.35)
    colour, width = np.where(seeds > 0, WHITE, flower.colour(DANDELIONS)), 0.9 - 0.5 * seeds
    petals(flower, colour, flower.between(26, 38), width, (1, 0.85, 0.65, 0.45), blunt=True)
    button(flower, colour * 0.9, flower.between(0.12, 0.18))


def rose(flower: Canvas) -> None:
    """Rounds of broad petals, one within the other."""
    colour, angle = flower.colour(ROSES), turns(flower.x, flower.y)
    for turn, reach in enumerate((1, 0.84, 0.68, 0.52, 0.36, 0.2)):
        shift = 0.03 * turn
        radius = length(flower.x - flower.between(-shift, shift), flower.y - flower.between(-shift, shift))
        lobes = 0.88 + 0.12 * np.sqrt(wave(angle * (5 - turn // 2) + flower.between(0, 1)))
        flower.outline(radius - lobes * reach, colour * (0.8 + 0.05 * turn), rim=0.03, dark=0.6)


def sunflower(flower: Canvas) -> None:
    """Two rounds of pointed petals around a large dark disc."""
    petals(flower, flower.colour(SUNFLOWERS), flower.between(14, 22), flower.between(0.9, 1.2), (1, 0.95), blunt=False)
    button(flower, flower.colour(SEEDS), flower.between(0.4, 0.54))


def tulip(flower: Canvas) -> None:
    """A cup of five petals seen from the side: two behind, two at the sides and one in front."""
    colour, wide, spread = flower.colour(TULIPS), flower.between(0.42, 0.54), flower.between(0.6, 0.9)
    for aside, low, light in (-0.25, 0.1, 0.62), (0.25, 0.1, 0.62), (-0.62, 0, 0.82), (0.62, 0, 0.82), (0, -0.06, 1):
        beside = abs(flower.x + (flower.y * 0.42 - 0.91) * aside * spread)
        down = np.clip(flower.y - low, -1.3, 1.3)
        petal = beside + (down * down * (0.45 + 0.55 * abs(down)) - 0.93) * (1 + 0.42 * down) * wide
        flower.outline(petal, colour * light, rim=0.045, dark=0.5)


KINDS = {bloom.__name__: bloom for bloom in (daisy, dandelion, rose, sunflower, tulip)}
