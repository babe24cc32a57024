"""Cartoon faces with hair, eyes, mouth, skin, clothes and pose that vary; nothing is labelled.

A head is drawn in its own units: the middle at (0, 0), cheeks at about 0.95 across, the chin at about 1.1 down, the
eyes at 0.27. A head that is turned aside has its features moved that way.
"""

from typing import NamedTuple

import numpy as np

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
    wave,
)
from convzoo.data.sources.drawing.hair import Hair
from convzoo.data.sources.drawing.head import Head

SIDE = 64  # pixels
SKINS = rgb("ffe8d6 ffe0cc fcd9bf f5c9a8 deab85 a87557")
IRISES = rgb("3380d9 40a659 8c5229 8c4dbf d9404d e69926 26a6b3 666b80")
CLOTHES = rgb("f2f2f7 334073 cc404d 4d8cbf 404047 f2bf59 73a673 d98cb3")
GROUNDS = rgb("bfe0fa fad1db d9f2cc faedbf dbd1f7 ededed 7399cc 595980")
WHITE, INK, GREY = rgb("f7f7f7 331f24 b8bdd6")
LIPS, THROAT, TONGUE = rgb("8c4747 9e333d f28c8c")
SHADE = rgb("d6b3b8")  # what shadow makes of skin
PINK = rgb("ffb8b8")  # and what blushing does

SMILES = (4, 3, 1, 1.5, 1)  # how often: smile, laugh, little, straight, cat
OPEN = (1, 2)  # the mouths one sees into
SHUT, WINK, ODD = 0.12, 0.4, 0.03  # shares: eyes shut, only one of them, eyes of two colours


class Eye(NamedTuple):
    """An eye of each picture, in units of its half-width and half-height."""

    high: Array  # the half-height, in the head's units
    there: Array  # 1 where it is open
    lid: Array  # how far down the upper lid hangs; -1 is the top of the eye
    gaze: Pair  # where the middle of the iris is
    iris: Array  # its colour


def draw_faces(labels: Array, generator: np.random.Generator) -> Array:
    """Pictures uint8 (N, 64, 64, 3) of faces, one for each label, whatever it is."""
    canvas, dice = Canvas.blank(len(labels), SIDE), Dice(generator, len(labels))
    head, hair, skin = Head(dice), Hair(dice), dice.colour(SKINS, 0.03)
    ground(canvas, dice)
    hair.behind(canvas, head)
    body(canvas, dice, head, skin)
    face(canvas, dice, head, skin, hair)
    eyes(canvas, dice, head, hair)
    hair.before(canvas, head)
    return canvas.bytes()


def ground(canvas: Canvas, dice: Dice) -> None:
    """Two colours that go over into each other, or in stripes or dots."""
    canvas.fill(dice.colour(GROUNDS, 0.06))
    centre = dice.between(-0.5, 0.5), dice.between(-0.5, 0.5)
    x, y = local(canvas, centre, direction(dice.between(0, 1)), dice.between(0.35, 0.6))
    canvas.paint(by_kind((slope, glow, stripes, dots), dice.choice((4, 2, 1, 1)), x, y), dice.colour(GROUNDS, 0.06))


def slope(x: Array, y: Array) -> Array:
    return ramp(x, -1.5, 1.5)


def glow(x: Array, y: Array) -> Array:
    return ramp(length(x, y), 0.5, 3)


def stripes(x: Array, y: Array) -> Array:
    return ramp(wave(x), 0.44, 0.56) * 0.5


def dots(x: Array, y: Array) -> Array:
    return ramp(length(wave(x), wave(y)), 0.44, 0.56) * 0.6


def body(canvas: Canvas, dice: Dice, head: Head, skin: Array) -> None:
    """Neck, shoulders and a collar, upright below the head."""
    wide, cloth, trim = dice.between(1.15, 1.5), dice.colour(CLOTHES, 0.05), dice.colour(CLOTHES, 0.05)
    none = np.zeros_like(wide)
    with canvas.window((none, none + 1), SIDE, 30) as part:
        x, y = local(part, head.centre, direction(none), head.size)
        x = np.abs(x)
        part.paint(head.cover(part, np.maximum(x - 0.3, 0.5 - y)), skin * SHADE)
        neckline = length(x, y - 1.05)
        shoulders = np.maximum(length(x / wide, y - 2.2) - 0.95, 0.52 - neckline)
        part.paint(head.cover(part, shoulders - 0.06), cloth * 0.55)
        part.paint(head.cover(part, shoulders), cloth)
        collar = np.maximum(np.abs(neckline - 0.66) - 0.06, shoulders)
        part.paint(head.cover(part, collar) * dice.chance(0.6), trim)


def face(canvas: Canvas, dice: Dice, head: Head, skin: Array, hair: Hair) -> None:
    """Ears, the face with its shadows, cheeks, nose and mouth."""
    middle, blush = 0.24 * head.aside, dice.between(0, 0.9)
    far = np.where(head.aside > 0, 0.5, -0.5).astype(np.float32)
    with canvas.window(head.place(0 * middle, 0 * middle + 0.2), 52, 50) as part:
        x, y = head.see(part)
        ears = length(np.abs(x + 0.1 * head.aside) - 0.92, (y - 0.28) * 0.8) - 0.17
        down = y - 0.1
        narrow = 0.94 - head.chin * np.maximum(down, 0)
        jaw = (length((x - 0.08 * head.aside * ramp(-y, -0.9, 0.2)) / narrow, down) - 1) * narrow
        both = np.minimum(ears, jaw)
        part.paint(head.cover(part, both - 0.05), skin * SHADE * 0.62)
        inside = head.cover(part, both)
        part.paint(inside, skin)
        # The hair throws a shadow, and the cheek that is turned away lies in one.
        shadow = head.cover(part, y - 0.13 - hair.fringe(x)) * 0.85
        inside *= np.maximum(shadow, head.cover(part, x * far + 0.01 - jaw) * 0.5)
        part.paint(inside, skin * SHADE)
        x -= middle
        cheeks = ramp(length((np.abs(x) - 0.5) / 0.24, (y - 0.56) / 0.13), 0.3, 1.2)
        part.paint(cheeks * blush, skin * PINK)
        nose = (length((x - 0.15 * middle) / 0.07, (y - 0.5) / 0.05) - 1) * 0.05
        part.paint(head.cover(part, nose) * 0.7, skin * SHADE * 0.8)
    mouth(canvas, dice, head, middle, skin)


def mouth(canvas: Canvas, dice: Dice, head: Head, middle: Array, skin: Array) -> None:
    """One of five mouths."""
    kind = dice.choice(SMILES)
    hollow = np.isin(kind, OPEN)[:, None].astype(np.float32)
    wide, down = dice.between(0.13, 0.22), dice.between(0.7, 0.76)
    with canvas.window(head.place(middle, down), 18, 18) as part:
        x, y = head.see(part)
        shapes = smile, laugh, little, straight, cat
        lips = by_kind(shapes, kind, (x - middle) / wide, (y - down) / wide, 0.022 / wide) * wide
        part.paint(head.cover(part, lips - 0.02), skin * LIPS)
        inside = head.cover(part, lips + 0.02) * hollow
        part.paint(inside, THROAT)
        part.paint(inside * ramp((down - y) / wide, -0.6, -0.35), TONGUE)


def smile(x: Array, y: Array, thick: Array) -> Array:
    return np.maximum(np.abs(length(x, y + 1.1) - 1.4) - thick, np.maximum(np.abs(x) - 1, -y - 0.5))


def laugh(x: Array, y: Array, thick: Array) -> Array:
    return np.maximum(length(x, y * 0.95) - 1, -y - 0.1)


def little(x: Array, y: Array, thick: Array) -> Array:
    return length(x * 1.2, y) - 0.5


def straight(x: Array, y: Array, thick: Array) -> Array:
    return np.maximum(np.abs(y) - thick, np.abs(x) - 0.7)


def cat(x: Array, y: Array, thick: Array) -> Array:
    return np.maximum(np.abs(length(np.abs(x) - 0.5, y) - 0.5) - thick, -y)


def eyes(canvas: Canvas, dice: Dice, head: Head, hair: Hair) -> None:
    """Both eyes with their brows; the far one of a head turned aside is narrower."""
    iris = dice.colour(IRISES, 0.1)
    irises = {-1: iris, 1: np.where(dice.chance(ODD) > 0, dice.colour(IRISES, 0.1), iris)}
    wide, high = dice.between(0.25, 0.32), dice.between(0.25, 0.36)
    apart, slant, lid = dice.between(0.42, 0.5), dice.between(-0.15, 0.15), dice.between(-1.6, -0.55)
    gaze = dice.between(-0.12, 0.12) + 0.1 * head.aside, dice.between(-0.08, 0.1)
    shut, happy = dice.chance(SHUT), np.where(dice.chance(0.6) > 0, 1, -1).astype(np.float32)
    closed = {-1: shut, 1: shut * (1 - dice.chance(WINK))}
    brow, rise, thick = dice.between(-0.34, -0.2), dice.between(-0.07, 0.07), dice.between(0.025, 0.05)
    for side in (-1, 1):
        middle = side * apart * (1 - 0.06 * np.abs(head.aside)) + 0.24 * head.aside
        with canvas.window(head.place(middle, 0 * middle + 0.2), 24, 24) as part:
            x, y = head.see(part)
            x = (x - middle) / (wide * (1 - 0.18 * side * head.aside))
            outer = x * side  # away from the nose
            arch = np.abs(y - brow - outer * (rise + 0.25 * high * outer)) - thick
            arch = np.maximum(arch, (np.abs(outer) - 0.85) * wide)
            part.paint(head.cover(part, arch) * 0.85, hair.colour * 0.55)
            y = (y - 0.27) / high + slant * outer
            open_eye(part, head, Eye(high, 1 - closed[side], lid, gaze, irises[side]), x, outer, y)
            y = y * happy - 0.4
            line = np.maximum(np.abs(length(x, y) - 1) - 0.14, y + 0.3)
            part.paint(head.cover(part, line * high) * closed[side], INK)


def open_eye(part: Canvas, head: Head, eye: Eye, x: Array, outer: Array, y: Array) -> None:
    """One eye; places are in its half-width and half-height, `outer` away from the nose."""
    high, there, lid, gaze, iris = eye
    under = y - lid - 0.35 * x * x
    white = head.cover(part, np.maximum(length(x, y) - 1, -under) * high) * there
    part.paint(white, WHITE)
    part.paint(white * ramp(under, 0.15, 0.5), GREY)
    across, down = x - gaze[0], y - gaze[1]
    ball = head.cover(part, (length(across / 0.68, down / 0.98) - 1) * 0.68 * high) * white
    part.paint(ball, iris, 1.25 - 0.83 * ramp(down, -0.35, 0.75))
    part.paint(head.cover(part, (length(across / 0.3, (down + 0.05) / 0.45) - 1) * 0.3 * high) * white, iris * 0.2)
    part.paint(head.cover(part, (length(across + 0.27, down + 0.38) - 0.27) * high) * white, WHITE)
    part.paint(head.cover(part, (length(across - 0.3, down - 0.42) - 0.15) * high) * white * 0.85, WHITE)
    # The upper lashes, thickest in the middle, along the lid where it hangs low; with a small wing.
    high_lash = np.maximum(length(x / 1.12, (y + 0.06) / 1.12) - 1, 0.98 - length(x * 0.96, y - 0.2))
    lash = np.where(lid > -1, np.maximum(np.abs(under) - 0.16, np.abs(x) - 1), high_lash)
    wing = np.maximum(np.abs(y + 0.25 + 0.3 * (outer - 1)) - 0.12, np.abs(outer - 1.02) - 0.24)
    part.paint(head.cover(part, np.minimum(lash, wing) * high) * there, INK)
