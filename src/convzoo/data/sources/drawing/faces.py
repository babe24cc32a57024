"""Cartoon faces, 64x64 pixels, without labels.

What varies: place, size and tilt of the head and where it looks; colours of skin, hair, eyes, clothes and ground; the
ground's pattern; seven hairstyles and four fringes; the chin; width, height, slant, lids and gaze of the eyes, each of
which may be shut; the brows; five mouths; blushing.

In the coordinates of a head, the middle is at (0, 0), the cheeks are about 0.95 to the sides, and the chin is about
1.1 down.
"""

import numpy as np

from convzoo.data.sources.drawing.canvas import (
    Array,
    Canvas,
    Shape,
    box,
    intersection,
    length,
    rgb,
    select_distances,
    turns,
    union,
    wave,
)

SIDE = 64  # pixels
SKINS = rgb("ffe8d6 ffe0cc fcd9bf f5c9a8 deab85 a87557")
HAIRS = rgb("332b38 613d2e 946138 f7d685 eb8538 c73840 faa8c2 7aa6ed 45549e 9973cc 7ac794 d6dbeb 6bc7cc")
IRISES = rgb("3380d9 40a659 8c5229 8c4dbf d9404d e69926 26a6b3 666b80")
CLOTHES = rgb("f2f2f7 334073 cc404d 4d8cbf 404047 f2bf59 73a673 d98cb3")
GROUNDS = rgb("bfe0fa fad1db d9f2cc faedbf dbd1f7 ededed 7399cc 595980")
WHITE, INK, MOUTH, SHADE, PINK = rgb("f7f7f7 331f24 b3404a d6b3b8 ffb8b8")

PATTERNS: tuple[Shape, ...] = (
    lambda x, y: x * 0.2,  # a gradient
    lambda x, y: wave(x) * 0.5 - 0.25,  # stripes
    lambda x, y: length(wave(x), wave(y)) * 0.5 - 0.25,  # dots
)


def short(x: Array, y: Array, ends: Array) -> Array:
    """Hair around the skull and down to the nape, where it is jagged."""
    return union(length(x, y + 0.2) - 1.1, box(x, y - 0.1, 0.9, 0.5 + 0.2 * ends - 0.15 * wave(x * 2.5)))


def tail(x: Array, y: Array, ends: Array) -> Array:
    """Hair that is tied high on the right and swings out."""
    down = y + 0.75
    return intersection(abs(x - 1.05 - 0.5 * down + 0.22 * down * down) - 0.34 + 0.12 * down, abs(down - 0.9) - 0.9)


# What hangs behind the head; `ends`, from 0 to 1, is how long or wide the hair is.
STYLES: tuple[Shape, ...] = (
    short,
    lambda x, y, ends: union(short(x, y, ends), box(x, y - 0.2, 1.17 - 0.15 * y * y, 0.55 + 0.3 * ends)),  # a bob
    lambda x, y, ends: union(short(x, y, ends), box(x, y - 2, 1.1 + 0.2 * ends * (y + 0.2), 2.2)),  # long
    lambda x, y, ends: union(short(x, y, ends), tail(abs(x), y, ends)),  # two tails
    lambda x, y, ends: union(short(x, y, ends), tail(x, y, ends)),  # one tail
    lambda x, y, ends: union(short(x, y, ends), length(abs(x) - 0.86, y + 1.02) - 0.34 - 0.1 * ends),  # buns
    lambda x, y, ends: length(x, y + 0.2) - 1.1 - 0.25 * wave(turns(x, y + 0.2) * 11 + ends) * (y < 0.5),  # spiky
)

# How far down the fringe hangs at each place across.
FRINGES: tuple[Shape, ...] = (
    lambda x, phase: 0.07 * wave(x * 2.6 + phase) - 0.13,  # straight
    lambda x, phase: 0.42 * wave(x * 1.55 + 0.3 * x * x + phase) - 0.4,  # jagged
    lambda x, phase: np.minimum(1.25 * abs(x - phase) - 0.85, 0) - 0.05 * wave(x * 3),  # parted
    lambda x, phase: 0.36 * x + 0.14 * wave(x * 2.2 + phase) - 0.32,  # swept
)

# In units of half a mouth's width.
MOUTHS: tuple[Shape, ...] = (
    lambda x, y: intersection(abs(length(x, y + 1.1) - 1.4) - 0.12, box(x, y, 1, 0.5)),  # smiling
    lambda x, y: intersection(length(x, y) - 1, -y - 0.1),  # laughing
    lambda x, y: length(x * 1.2, y) - 0.5,  # a small o
    lambda x, y: box(x, y, 0.7, 0.12),  # straight
    lambda x, y: intersection(abs(length(abs(x) - 0.5, y) - 0.5) - 0.12, -y),  # a cat's
)


def draw_faces(labels: Array, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 64, 64, 3) of faces, one per label; the labels are ignored."""
    canvas = Canvas(len(labels), SIDE, generator)
    between = canvas.between
    canvas.fill(canvas.colour(GROUNDS))
    ground = canvas.zoom(between(-0.5, 0.5), between(-0.5, 0.5), between(0.35, 0.6), between(0, 1))
    pattern = select_distances(PATTERNS, canvas.choice(PATTERNS), ground.x, ground.y)
    canvas.paint(ground.cover(pattern, soft=5) * 0.6, canvas.colour(GROUNDS))

    head = canvas.zoom(between(-0.12, 0.12), between(0, 0.14), between(0.5, 0.6), between(-0.045, 0.045))
    skin, hair = canvas.colour(SKINS, 0.03), canvas.colour(HAIRS)
    x, y = head.x * (2 * canvas.chance(0.5) - 1), head.y  # half of the hair is mirrored
    head.outline(select_distances(STYLES, canvas.choice(STYLES), x, y, between(0, 1)), hair * 0.8, rim=0.06)
    body(head.rows(37, 63), skin)  # the rows that it can reach; so for the eyes
    fringe = select_distances(FRINGES, canvas.choice(FRINGES), x, between(-0.3, 0.3)) + between(-0.1, 0.06)
    fringe += 1.6 * np.maximum(abs(x) - 0.72, 0)
    aside = between(-0.2, 0.2)  # where the face looks
    face(head, skin, aside, fringe)
    eyes(head.rows(16, 55), aside)
    front = intersection(length(x, y + 0.2) - 1.12, (y - fringe) * 0.7)
    head.outline(front, hair, rim=0.045)
    gleam = box(x, y + 0.62 - 0.22 * x * x + 0.07 * wave(x * 6), 0.6, 0.09)
    head.paint(head.cover(intersection(gleam, front), soft=2) * between(0, 0.7), hair * 0.5 + 0.5)
    return canvas.images()


def body(head: Canvas, skin: Array) -> None:
    """A neck, and a shirt with a round neckline."""
    head.paint(head.cover(box(head.x, head.y - 1.3, 0.3, 0.8)), skin * SHADE)
    shirt = length(head.x / head.between(1.15, 1.5), head.y - 2.2) - 0.95
    head.outline(intersection(shirt, 0.52 - length(head.x, head.y - 1.05)), head.colour(CLOTHES), rim=0.06)


def face(head: Canvas, skin: Array, aside: Array, fringe: Array) -> None:
    """Ears and a round or pointed chin, the shadow of the fringe, a nose, cheeks that may blush, and a mouth."""
    x, y = head.x, head.y
    narrow = 0.94 - head.between(0.28, 0.46) * np.maximum(y - 0.1, 0)
    ears = length(abs(x + 0.4 * aside) - 0.92, (y - 0.28) * 0.8) - 0.17
    shape = union(ears, (length(x / narrow, y - 0.1) - 1) * narrow)
    head.outline(shape, skin, rim=0.05, dark=0.5)
    x = x - aside
    nose = length(x * 0.7, y - 0.5) - 0.045
    head.paint(head.cover(union(nose, intersection(shape, y - 0.13 - fringe))), skin * SHADE)
    cheeks = length(abs(x) - 0.5, (y - 0.56) * 1.6) - 0.12
    head.paint(head.cover(cheeks, soft=4) * head.between(0, 0.8), skin * PINK)
    wide = head.between(0.13, 0.22)
    mouth = select_distances(MOUTHS, head.choice(MOUTHS), x / wide, (y - head.between(0.7, 0.76)) / wide) * wide
    head.outline(mouth, MOUTH, rim=0.025)


def eyes(head: Canvas, aside: Array) -> None:
    """Two eyes of one colour, each open or shut, and their brows."""
    between = head.between
    side = np.sign(head.x - aside)
    wide, high = between(0.25, 0.32), between(0.25, 0.36)
    x, y = (head.x - aside - side * between(0.42, 0.5)) / wide, (head.y - 0.27) / high
    outer = x * side  # away from the nose
    brow = box(outer, y - between(-2, -1.6) - outer * between(-0.2, 0.2) - 0.25 * x * x, 0.85, between(0.08, 0.16))
    y += outer * between(-0.15, 0.15)
    shut = np.where(side > 0, head.chance(0.12), head.chance(0.12))
    under = y - np.where(shut > 0, 0.3, between(-1.6, -0.55)) - 0.35 * x * x  # the upper lid
    lash = intersection(abs(union(under, 1 - length(x, y - 0.1))) - 0.16, length(x, y + 0.5) - 1.1)

    white = head.cover(intersection(length(x, y) - 1, -under) * high) * (1 - shut)
    head.paint(white, WHITE)
    across, down = x - between(-0.12, 0.12) - aside, y - between(-0.08, 0.1)
    iris = head.cover((length(across / 0.68, down / 0.98) - 1) * high)
    pupil = head.cover((length(across / 0.3, down / 0.45) - 1) * 0.3 * high)
    head.paint(iris * white, head.colour(IRISES), (0.9 + 0.4 * down) * (1 - 0.75 * pupil))
    glint = union(length(across + 0.27, down + 0.38) - 0.27, length(across - 0.3, down - 0.42) - 0.15)
    head.paint(head.cover(glint * high) * white, WHITE)
    head.paint(head.cover(union(lash, brow) * high), INK)
