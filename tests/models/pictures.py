"""The pictures Gemma's toy looks at: one coloured shape on a plain ground, drawn with seeded dice.

Why it exists: a toy that is to name what somebody drew in a paint program has to meet everything such
a picture may be: any size and proportion, crisp or soft edges, filled or outlined, a shaky hand, a
shade that is not quite red, a ground that is not quite white.
"""

import colorsys
import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

# name -> hue in degrees, saturation, value; each a range of what people call by that name.
COLOURS = {
    "red": ((-9, 7), (0.78, 1.0), (0.62, 1.0)),
    "orange": ((23, 39), (0.82, 1.0), (0.92, 1.0)),
    "yellow": ((51, 62), (0.75, 1.0), (0.92, 1.0)),
    "green": ((95, 150), (0.6, 1.0), (0.4, 0.9)),
    "blue": ((203, 243), (0.65, 1.0), (0.6, 1.0)),
    "purple": ((272, 302), (0.5, 1.0), (0.45, 0.85)),
    "black": ((0, 360), (0.0, 0.3), (0.0, 0.14)),
}
SHAPES = ["circle", "square", "triangle", "star", "cross"]
OUTLINED = ["circle", "square", "triangle"]  # also drawn as an outline
SIDES = (40, 300)  # pixels, shorter to longer
Point = tuple[float, float]


@dataclass(frozen=True)
class Thing:
    """What a picture shows."""

    colour: str
    shape: str

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


THINGS = [Thing(colour, shape) for colour in COLOURS for shape in SHAPES]


def draw(thing: Thing, dice: random.Random, canvas: tuple[int, int] | None = None) -> Image.Image:
    """A fresh RGB picture of the thing, of any size or of the size given."""
    width, height = canvas or _canvas(dice)
    fine = dice.choice([1, 2])  # edges: as a pencil tool leaves them, or smoothed
    ground = _ground(dice)
    picture = Image.new("RGB", (width * fine, height * fine), ground)
    pen = ImageDraw.Draw(picture)
    outlined = thing.shape in OUTLINED and dice.random() < 0.08
    size = min(width, height) * fine * dice.uniform(0.7 if outlined else 0.6, 0.94)
    points = _placed(_outline(thing.shape, dice), size, picture.size, dice)
    paint = _paint(thing.colour, dice)
    if outlined:
        _stroke(pen, points, paint, size * dice.uniform(0.07, 0.14))
    else:
        pen.polygon(points, fill=paint)
        if dice.random() < 0.15:
            dark = tuple(channel // 3 for channel in paint)
            _stroke(pen, points, dark, size * dice.uniform(0.015, 0.04))
    return picture.resize((width, height), Image.Resampling.BOX)


def _canvas(dice: random.Random) -> tuple[int, int]:
    """Width and height: small ones more often, and never much longer than wide."""
    short = int(SIDES[0] * (SIDES[1] / SIDES[0]) ** dice.random())
    long = min(SIDES[1], int(short * dice.uniform(1.0, 1.4)))
    return (short, long) if dice.random() < 0.4 else (long, short)


def _ground(dice: random.Random) -> tuple[int, int, int]:
    """White, or a light tint, or light grey."""
    kind = dice.random()
    if kind < 0.6:
        return 255, 255, 255
    tint = 0.0 if kind < 0.75 else dice.uniform(0.0, 0.1)
    return _rgb(dice.uniform(0, 360), tint, dice.uniform(0.86, 1.0))


def _paint(colour: str, dice: random.Random) -> tuple[int, int, int]:
    hue, saturation, value = (dice.uniform(*span) for span in COLOURS[colour])
    return _rgb(hue, saturation, value)


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value))


def _outline(shape: str, dice: random.Random) -> list[Point]:
    """The corners of a shape about the origin, within a circle of radius 1, turned as it may be."""
    turn = dice.uniform(-12, 12)
    if shape == "circle":
        corners = _ring([1.0] * 28)
    elif shape == "square":
        corners, turn = _ring([1.0] * 4), turn + 45
    elif shape == "triangle":
        corners, turn = _ring([1.0] * 3), turn + dice.choice([0, 0, 0, 0, 0, 180])
    elif shape == "star":
        corners = _ring([1.0, dice.uniform(0.36, 0.46)] * 5)
    else:
        arm = dice.uniform(0.14, 0.26)
        corner = [(-arm, -1.0), (arm, -1.0), (arm, -arm)]
        corners = [_turned(point, 90 * quarter) for quarter in range(4) for point in corner]
        turn += dice.choice([0, 0, 0, 45])
    return [_turned(point, turn) for point in corners]


def _ring(radii: list[float]) -> list[Point]:
    """One point per radius, clockwise from the top."""
    step = 360 / len(radii)
    return [_turned((0.0, -radius), i * step) for i, radius in enumerate(radii)]


def _turned(point: Point, degrees: float) -> Point:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return point[0] * cosine - point[1] * sine, point[0] * sine + point[1] * cosine


def _placed(corners: list[Point], size: float, canvas: tuple[int, int], dice: random.Random) -> list[Point]:
    """The corners in pixels: stretched a little, moved anywhere, every edge drawn by a shaky hand."""
    shaky = dice.choice([0.0, 0.0, 0.008, 0.014]) * size
    points = []
    for (x, y), (next_x, next_y) in zip(corners, corners[1:] + corners[:1]):
        steps = 1 if len(corners) > 20 else 4
        points += [(x + (next_x - x) * i / steps, y + (next_y - y) * i / steps) for i in range(steps)]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top, bottom = min(y for _, y in points), max(y for _, y in points)
    wide, high = size * dice.uniform(0.8, 1.0), size * dice.uniform(0.8, 1.0)
    x0 = dice.uniform(0.03, 0.97) * (canvas[0] - wide)
    y0 = dice.uniform(0.03, 0.97) * (canvas[1] - high)
    return [(x0 + (x - left) / (right - left) * wide + dice.gauss(0, shaky),
             y0 + (y - top) / (bottom - top) * high + dice.gauss(0, shaky)) for x, y in points]


def _stroke(pen: ImageDraw.ImageDraw, points: list[Point], paint: tuple, thickness: float) -> None:
    """A closed line with round joints."""
    thickness = max(1, round(thickness))
    pen.line([*points, points[0], points[1]], fill=paint, width=thickness, joint="curve")
