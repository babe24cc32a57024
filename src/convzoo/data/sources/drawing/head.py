"""Where the heads of cartoon faces are, how large they are, and how they are turned."""

from convzoo.data.sources.drawing.canvas import Array, Canvas, Dice, Pair, direction, local

SIZE = (0.5, 0.6)  # of a head's unit, as a share of half the picture's side
TILT = 0.045  # of a full turn, to either side


class Head:
    """The pose of each head; its units are those of faces.py."""

    def __init__(self, dice: Dice) -> None:
        self.size = dice.between(*SIZE)
        self.aside = dice.between(-1, 1) * dice.between(0, 1)  # -1 looks to the left, 1 to the right
        self.centre = dice.between(-0.12, 0.12), dice.between(0, 0.14)
        self.turn = direction(dice.between(-TILT, TILT))
        self.chin = dice.between(0.28, 0.46)  # round to pointed

    def see(self, canvas: Canvas, rows: Array | slice = slice(None)) -> Pair:
        """The places of a canvas's pixels in the head's units; `rows`, where it shows only these pictures."""
        x, y, cos, sin = (part[rows] for part in (*self.centre, *self.turn))
        return local(canvas, (x, y), (cos, sin), self.size[rows])

    def place(self, x: Array, y: Array) -> Pair:
        """Where a place in the head's units lies in the picture."""
        cos, sin = (part * self.size for part in self.turn)
        return self.centre[0] + x * cos - y * sin, self.centre[1] + x * sin + y * cos

    def cover(self, canvas: Canvas, distance: Array, soft: float = 1, rows: Array | slice = slice(None)) -> Array:
        """The mask of a distance in the head's units."""
        return canvas.cover(distance * self.size[rows], soft)
