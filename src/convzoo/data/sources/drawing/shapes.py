"""Textured shapes on textured grounds: which shape, or which shape with which texture, is the class.

Place, size, turn, stretch and all colours are drawn, and things lie around and in front, so that neither a colour nor a
place gives the class away. A mirrored picture is of the same class.
"""

import numpy as np

from convzoo.data.sources.drawing.canvas import (
    Array,
    Canvas,
    Dice,
    by_kind,
    direction,
    length,
    local,
    ramp,
    segment,
    sine,
    tinted,
    wave,
)

SIDE = 32  # pixels
SIZE = (0.64, 0.88)  # half a shape, as a share of half the side
TURN_TEN, TURN_HUNDRED = 0.16, 0.06  # of a full one, to either side
STRETCH = (0.85, 1.18)  # downwards against across
PERIOD = (0.3, 0.42)  # of a texture, as a share of half the side
# Luma of a dark ground and of the two tones of the light shape on it; in half the pictures, 1 less each.
GROUND, NEAR, FAR = (0.06, 0.26), (0.48, 0.62), (0.78, 0.94)
VIVID = (0.2, 0.9)  # how far colours are from grey
GROUND_PERIOD = (0.3, 0.8)
GROUND_CONTRAST = (0.03, 0.09)  # luma
LOOSE = 3  # small things that lie around
LOOSE_SIZE, LOOSE_LENGTH = (0.06, 0.13), 0.25  # half their width and, at most, half their length
LOOSE_WINDOW = 14  # pixels that hold one
IN_FRONT = 0.35  # the share of pictures where a strip lies in front
STRIP = (0.06, 0.14)  # half its width
LIGHT = (-0.15, 0.15)  # the light grows by this much across half a picture
GRAIN = 0.045

# The shapes: signed distances, about 1 from the middle to the farthest edge, as seen upright with y downwards.


def disc(x: Array, y: Array) -> Array:
    return length(x, y) - 0.84


def ring(x: Array, y: Array) -> Array:
    return np.abs(length(x, y) - 0.64) - 0.27


def square(x: Array, y: Array) -> Array:
    return np.maximum(np.abs(x), np.abs(y)) - 0.74


def triangle(x: Array, y: Array) -> Array:
    return np.maximum(y - 0.5, np.abs(x) * 0.866 - y * 0.5 - 0.5)


def star(x: Array, y: Array) -> Array:
    # Five lines make a five-pointed star; inside it, all of them but one at most have the place on their inner side.
    farthest = second = np.full_like(x, -9)
    for across, down in ((0.0, -1.0), (0.951, -0.309), (0.588, 0.809), (-0.588, 0.809), (-0.951, -0.309)):
        line = x * across + y * down - 0.34
        second = np.maximum(second, np.minimum(farthest, line))
        farthest = np.maximum(farthest, line)
    return second


def cross(x: Array, y: Array) -> Array:
    x, y = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(x - 0.92, y - 0.3), np.maximum(x - 0.3, y - 0.92))


def crescent(x: Array, y: Array) -> Array:
    return np.maximum(length(x, y) - 0.92, 0.72 - length(x - 0.42, y))


def heart(x: Array, y: Array) -> Array:
    x = np.abs(x)
    point = np.maximum(x * 0.73 + y * 0.684 - 0.616, (x - 0.44) * 0.684 - (y + 0.3) * 0.73)
    return np.minimum(length(x - 0.44, y + 0.3) - 0.5, np.maximum(point, -0.4 - y))


def arrow(x: Array, y: Array) -> Array:
    x = np.abs(x)
    head = np.maximum(x * 0.785 - (y + 0.95) * 0.62, y)
    return np.minimum(head, np.maximum(x - 0.27, np.abs(y - 0.41) - 0.51))


def drop(x: Array, y: Array) -> Array:
    x = np.abs(x)
    point = np.maximum(x * 0.8915 - y * 0.453 - 0.444, x * 0.453 + (y - 0.3) * 0.8915)
    return np.minimum(length(x, y - 0.3) - 0.58, point)


def hourglass(x: Array, y: Array) -> Array:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(y - 0.82, (x - y * 0.82 - 0.08) * 0.77)


def clover(x: Array, y: Array) -> Array:
    x = np.abs(x)
    leaves = np.minimum(length(x, y + 0.46), length(x - 0.46, y - 0.12)) - 0.42
    return np.minimum(leaves, np.maximum(x - 0.13, np.abs(y - 0.48) - 0.48))


def leaf(x: Array, y: Array) -> Array:
    return length(np.abs(x) + 0.66, y) - 1.17


def sparkle(x: Array, y: Array) -> Array:
    x, y = np.abs(x), np.abs(y)
    return (np.minimum(x * 2.6 + y, x + y * 2.6) - 1.04) * 0.36


def tee(x: Array, y: Array) -> Array:
    x = np.abs(x)
    return np.minimum(np.maximum(x - 0.82, np.abs(y + 0.5) - 0.29), np.maximum(x - 0.29, np.abs(y - 0.2) - 0.66))


def zigzag(x: Array, y: Array) -> Array:
    bars = np.minimum(segment(x, y, (-0.56, -0.6), (0.56, -0.6)), segment(x, y, (-0.56, 0.6), (0.56, 0.6)))
    return np.minimum(bars, segment(x, y, (0.56, -0.6), (-0.56, 0.6))) - 0.23


def dome(x: Array, y: Array) -> Array:
    return np.maximum(length(x, y - 0.42) - 0.98, y - 0.42)


def fish(x: Array, y: Array) -> Array:
    y = np.abs(y)
    return np.minimum(length(x + 0.2, y + 0.4) - 0.88, np.maximum(y * 0.74 - (x - 0.26) * 0.67, x - 0.92))


def mushroom(x: Array, y: Array) -> Array:
    cap = np.maximum(length(x, y) - 0.9, y)
    return np.minimum(cap, np.maximum(np.abs(x) - 0.3, np.abs(y - 0.4) - 0.45))


def pie(x: Array, y: Array) -> Array:
    return np.maximum(length(x, y) - 0.88, x * 0.66 - np.abs(y) * 0.75)


FIRST = (disc, ring, square, triangle, star, cross, crescent, heart, arrow, drop)
FORMS = (*FIRST, hourglass, clover, leaf, sparkle, tee, zigzag, dome, fish, mushroom, pie)

# The textures: how much of a second colour lies at each place, in periods; `soft` is the width of an edge.


def plain(x: Array, y: Array, soft: Array) -> Array:
    return np.zeros_like(x)


def striped(x: Array, y: Array, soft: Array) -> Array:
    return ramp(wave(x), 0.5 - soft, 0.5 + soft)


def spotted(x: Array, y: Array, soft: Array) -> Array:
    return ramp(length(wave(x), wave(y)), 0.64 - soft, 0.64 + soft)


def chequered(x: Array, y: Array, soft: Array) -> Array:
    across, down = striped(x * 0.7, y, soft), striped(y * 0.7, x, soft)
    return across + down - 2 * across * down


def ringed(x: Array, y: Array, soft: Array) -> Array:
    return striped(length(x, y), y, soft)


def halved(x: Array, y: Array, soft: Array) -> Array:
    return ramp(x, -soft / 2, soft / 2)


def cloudy(x: Array, y: Array, soft: Array) -> Array:
    bent = x * 0.4 + 0.3 * sine(y * 0.27)
    return 0.5 + 0.25 * (sine(bent) + sine(y * 0.35 + 0.3 * sine(x * 0.31)))


TEXTURES = (plain, halved, striped, spotted, ringed)
ANYWHERE = [TEXTURES.index(striped), TEXTURES.index(spotted)]  # the others keep to the middle of the shape
GROUNDS = (plain, striped, spotted, ringed, chequered, cloudy)

# The names of the classes, and the superclass of each of the hundred.
TEN = [form.__name__ for form in FIRST]
TWENTY = [form.__name__ for form in FORMS]
HUNDRED = [f"{texture.__name__} {form}" for form in TWENTY for texture in TEXTURES]
TWENTY_OF_HUNDRED = [number // len(TEXTURES) for number in range(len(HUNDRED))]


def draw_ten(labels: Array, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 32, 32, 3) of the shapes TEN, by label, in any texture."""
    return draw(labels, generator.integers(0, len(TEXTURES), len(labels)), TURN_TEN, generator)


def draw_hundred(labels: Array, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 32, 32, 3) of the textured shapes HUNDRED, by label."""
    return draw(labels // len(TEXTURES), labels % len(TEXTURES), TURN_HUNDRED, generator)


def draw(forms: Array, textures: Array, turn: float, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 32, 32, 3) of the shapes and textures at these places in FORMS and TEXTURES."""
    count = len(forms)
    canvas, dice = Canvas.blank(count, SIDE), Dice(generator, count)

    lumas = np.stack([dice.between(*bounds) for bounds in (GROUND, NEAR, FAR)])
    lumas = np.where(dice.chance(0.5), 1 - lumas, lumas)
    lumas[1:] = np.where(dice.chance(0.5), lumas[:0:-1], lumas[1:])
    colours = [tinted(dice.between(0, 1), dice.between(*VIVID), luma) for luma in lumas]

    # The ground, in two tones, and what lies around.
    canvas.fill(colours[0])
    tone = np.clip(lumas[0] + dice.apart(*GROUND_CONTRAST), 0, 1)
    anywhere = dice.between(-1, 1), dice.between(-1, 1)
    x, y = local(canvas, anywhere, direction(dice.between(0, 1)), dice.between(*GROUND_PERIOD))
    ground = by_kind(GROUNDS, dice.choice([1] * len(GROUNDS)), x, y, dice.between(0.1, 0.3))
    canvas.paint(ground, tinted(dice.between(0, 1), dice.between(*VIVID), tone))
    for _ in range(LOOSE):
        scatter(canvas, dice)

    size = dice.between(*SIZE)
    free = 1.05 - size
    centre = free * dice.between(-1, 1), free * dice.between(-1, 1)
    x, y = local(canvas, centre, direction(dice.between(-turn, turn)), size, dice.between(*STRETCH))
    inside = canvas.cover(by_kind(FORMS, forms, x, y) * size)
    period = dice.between(*PERIOD)
    x, y = local(canvas, centre, direction(dice.between(0, 1)), period)
    x += dice.between(0, 1) * np.isin(textures, ANYWHERE)[:, None]
    second = by_kind(TEXTURES, textures, x, y, canvas.pixel / period)
    second *= inside
    canvas.paint(inside, colours[1])
    canvas.paint(second, colours[2])

    strip(canvas, dice)
    light = 1 + dice.between(*LIGHT) * canvas.x
    light += dice.between(*LIGHT) * canvas.y
    canvas.planes *= light
    for plane in canvas.planes:
        plane += dice.noise(plane.shape[1]) * GRAIN
    return canvas.bytes()


def scatter(canvas: Canvas, dice: Dice) -> None:
    """Lay a small rod anywhere."""
    thick, long = dice.between(*LOOSE_SIZE), dice.between(0, LOOSE_LENGTH)
    turn, centre = direction(dice.between(0, 1)), (dice.between(-1, 1), dice.between(-1, 1))
    colour = tinted(dice.between(0, 1), dice.between(0, 1), dice.between(0, 1))
    with canvas.window(centre, LOOSE_WINDOW, LOOSE_WINDOW) as part:
        x, y = local(part, centre, turn, np.ones_like(thick))
        part.paint(part.cover(length(np.maximum(np.abs(x) - long, 0), y) - thick), colour)


def strip(canvas: Canvas, dice: Dice) -> None:
    """Lay a strip across some of the pictures."""
    across, down = direction(dice.between(0, 1))
    place, width = dice.between(-0.7, 0.7), dice.between(*STRIP)
    colour = tinted(dice.between(0, 1), dice.between(0, 1), dice.between(0, 1))
    x = canvas.x * across
    x += canvas.y * down
    mask = canvas.cover(np.abs(x - place) - width)
    mask *= dice.chance(IN_FRONT)
    canvas.paint(mask, colour)
