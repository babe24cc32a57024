"""Textured shapes on textured grounds, 32x32 pixels: ten shapes, or twenty shapes times five textures, are the classes.

What varies within a class: place, size, turn and stretch of the shape; all colours; the ground and its texture; rods
that lie around the shape and, in some pictures, across it; light and grain. Neither colour nor place reveals
the class, and a mirrored picture has the same class.
"""

import numpy as np

from convzoo.data.sources.drawing.canvas import (
    Array,
    Canvas,
    Shape,
    box,
    intersection,
    length,
    select_distances,
    turns,
    union,
    wave,
)

SIDE = 32  # pixels
TURN_TEN, TURN_HUNDRED = 0.16, 0.06  # of a full turn, to either side

# Seen upright with y downwards; about 1 from the middle to the farthest edge.
FORMS: dict[str, Shape] = {
    "disc": lambda x, y: length(x, y) - 0.84,
    "ring": lambda x, y: abs(length(x, y) - 0.64) - 0.27,
    "square": lambda x, y: box(x, y, 0.74, 0.74),
    "triangle": lambda x, y: intersection(y - 0.5, abs(x) * 0.866 - y * 0.5 - 0.5),
    "star": lambda x, y: (length(x, y) * (1 + 1.3 * wave(turns(y, x) * 5 + 0.5)) - 1) * 0.45,
    "cross": lambda x, y: union(box(x, y, 0.92, 0.3), box(x, y, 0.3, 0.92)),
    "crescent": lambda x, y: intersection(length(x, y) - 0.92, 0.72 - length(x - 0.42, y)),
    "heart": lambda x, y: union(length(abs(x) - 0.4, y + 0.32) - 0.566, (abs(x) + abs(y - 0.08) - 0.8) * 0.7),
    "arrow": lambda x, y: union(intersection(abs(x) * 0.785 - y * 0.62 - 0.59, y), box(x, y - 0.41, 0.27, 0.51)),
    "drop": lambda x, y: union(length(x, y - 0.3) - 0.58, intersection(abs(x) * 0.892 - y * 0.453 - 0.444, y - 0.04)),
    "hourglass": lambda x, y: intersection(abs(y) - 0.82, (abs(x) - abs(y) * 0.82 - 0.08) * 0.77),
    "clover": lambda x, y: union(
        union(length(x, y + 0.46), length(abs(x) - 0.46, y - 0.12)) - 0.42, box(x, y - 0.48, 0.13, 0.48)
    ),
    "leaf": lambda x, y: length(abs(x) + 0.66, y) - 1.17,
    "sparkle": lambda x, y: (union(abs(x) * 2.6 + abs(y), abs(x) + abs(y) * 2.6) - 1.04) * 0.36,
    "tee": lambda x, y: union(box(x, y + 0.5, 0.82, 0.29), box(x, y - 0.2, 0.29, 0.66)),
    "zigzag": lambda x, y: union(box(x, abs(y) - 0.6, 0.75, 0.22), box(x + 0.9 * y, y, 0.34, 0.6)),
    "dome": lambda x, y: intersection(length(x, y - 0.42) - 0.98, y - 0.42),
    "fish": lambda x, y: union(
        length(x + 0.2, abs(y) + 0.4) - 0.88, intersection(abs(y) * 0.74 - x * 0.67 + 0.174, x - 0.92)
    ),
    "mushroom": lambda x, y: union(intersection(length(x, y) - 0.9, y), box(x, y - 0.4, 0.3, 0.45)),
    "pie": lambda x, y: intersection(length(x, y) - 0.88, x * 0.66 - abs(y) * 0.75),
}

# Where the second colour of a shape lies, in units of the texture's period.
TEXTURES: dict[str, Shape] = {
    "plain": lambda x, y: np.full_like(x, 9),
    "halved": lambda x, y: x,
    "striped": lambda x, y: wave(x) * 0.5 - 0.25,
    "spotted": lambda x, y: length(wave(x), wave(y)) * 0.5 - 0.32,
    "ringed": lambda x, y: wave(length(x, y)) * 0.5 - 0.25,
}

# The names of the classes, and the superclass of each of the hundred.
TWENTY = list(FORMS)
TEN = TWENTY[:10]
HUNDRED = [f"{texture} {form}" for form in FORMS for texture in TEXTURES]
TWENTY_OF_HUNDRED = [number // len(TEXTURES) for number in range(len(HUNDRED))]


def draw_ten(labels: Array, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 32, 32, 3) of the shapes TEN, by label, in any texture."""
    return draw(labels, generator.integers(0, len(TEXTURES), len(labels)), TURN_TEN, generator)


def draw_hundred(labels: Array, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 32, 32, 3) of the textured shapes HUNDRED, by label."""
    return draw(labels // len(TEXTURES), labels % len(TEXTURES), TURN_HUNDRED, generator)


def draw(forms: Array, textures: Array, turn: float, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 32, 32, 3) of the shapes and textures at these positions in FORMS and TEXTURES."""
    canvas = Canvas(len(forms), SIDE, generator)
    between = canvas.between
    # A light shape in two tones on a dark ground; or, in half the pictures, the other way round.
    negative, swapped = canvas.chance(0.5), canvas.chance(0.5) > 0
    dark, middle, light = (abs(negative - between(*luma)) for luma in ((0.06, 0.26), (0.48, 0.62), (0.78, 0.94)))
    first, second = np.where(swapped, light, middle), np.where(swapped, middle, light)

    canvas.fill(canvas.tint(dark))
    ground = canvas.zoom(between(-1, 1), between(-1, 1), between(0.3, 0.8), between(0, 1))
    texture = select_distances(TEXTURES.values(), canvas.choice(TEXTURES), ground.x, ground.y)
    canvas.paint(ground.cover(texture, soft=2), canvas.tint(dark + between(-0.09, 0.09)))
    canvas.paint(canvas.cover(union(bar(canvas, 0.25), bar(canvas, 0.25))), canvas.tint(between(0, 1)))

    size = between(0.64, 0.88)
    x, y = (1.05 - size) * between(-1, 1), (1.05 - size) * between(-1, 1)
    shape = canvas.zoom(x, y, size, between(-turn, turn), between(0.85, 1.18))
    inside = shape.cover(select_distances(FORMS.values(), forms, shape.x, shape.y))
    pattern = canvas.zoom(x + between(-0.06, 0.06), y + between(-0.06, 0.06), between(0.3, 0.42), between(0, 1))
    toned = pattern.cover(select_distances(TEXTURES.values(), textures, pattern.x, pattern.y))
    canvas.paint(inside, canvas.tint(first))
    canvas.paint(inside * toned, canvas.tint(second))

    across = canvas.cover(bar(canvas, 3)) * canvas.chance(0.35)
    canvas.paint(across, canvas.tint(between(0, 1)))
    canvas.weather(light=0.15, grain=0.032)
    return canvas.images()


def bar(canvas: Canvas, long: float) -> Array:
    """The signed distance from a bar anywhere, of half-length `long`."""
    view = canvas.zoom(canvas.between(-1, 1), canvas.between(-1, 1), 1, canvas.between(0, 1))
    return box(view.x, view.y, long, canvas.between(0.06, 0.13))
