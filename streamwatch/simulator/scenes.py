"""The views that the farm's cameras have: a painted village background and the things that move before it.

All is painted at 1280 x 720 and reduced for the sub stream. `SCENES` is the table: a new view is a function and a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamwatch.simulator.paint import Colour, Picture, Plane, blank, octaves

WIDTH = 1280
HEIGHT = 720

SKY: Colour = (188.0, 138.0, 120.0)
DUSK: Colour = (46.0, 136.0, 126.0)
GRASS: Colour = (92.0, 112.0, 122.0)
CROP: Colour = (112.0, 104.0, 128.0)
EARTH: Colour = (118.0, 118.0, 138.0)
ASPHALT: Colour = (82.0, 129.0, 127.0)
PAVING: Colour = (150.0, 124.0, 132.0)
PLASTER: Colour = (196.0, 122.0, 131.0)
BRICK: Colour = (96.0, 116.0, 154.0)
TILE: Colour = (66.0, 126.0, 134.0)
RED_TILE: Colour = (84.0, 112.0, 162.0)
DARK: Colour = (28.0, 128.0, 128.0)
WHITE: Colour = (226.0, 128.0, 128.0)
STEEL: Colour = (172.0, 130.0, 126.0)
LEAF: Colour = (70.0, 110.0, 118.0)
TRUNK: Colour = (58.0, 120.0, 136.0)
WATER: Colour = (104.0, 140.0, 116.0)
SKIN: Colour = (158.0, 112.0, 146.0)
LAMP: Colour = (232.0, 96.0, 150.0)
CLOTHES: tuple[Colour, ...] = (
    (60.0, 150.0, 118.0),
    (90.0, 110.0, 176.0),
    (180.0, 126.0, 130.0),
    (40.0, 128.0, 128.0),
    (140.0, 100.0, 150.0),
)

Path = Callable[[float], tuple[float, float]]  # seconds of the loop -> centre (x, y) on the 1280 x 720 canvas
Glow = Callable[[float], float]  # seconds of the loop -> how opaque, 0..1


@dataclass(frozen=True, slots=True)
class Mover:
    """A thing that moves: its picture, where its centre is at a time, and how much of it shows (a lamp flickers)."""

    picture: Picture
    path: Path
    glow: Glow | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One view: its on-screen place name, its background (1280 x 720) and its movers, from back to front."""

    name: str
    place: str
    background: Picture
    movers: tuple[Mover, ...]


@dataclass(frozen=True, slots=True)
class _Brush:
    """What a scene paints with: its canvas, its seeded random numbers and two grains of the canvas' size."""

    canvas: Picture
    rng: np.random.Generator
    coarse: Plane  # [-1, 1], structure from 96 px down
    fine: Plane  # [-1, 1], structure from 8 px down

    def house(
        self, left: float, base: float, width: float, height: float, *, wall: Colour = PLASTER, roof: Colour = TILE
    ) -> None:
        """A house seen from the front: wall, pitched roof with rows of tiles, door and windows."""
        top = base - height
        self.canvas.box(left, top, width, height, wall, grain=self.fine * 10)
        ridge = top - height * 0.45
        self.canvas.polygon(
            [(left - 18, top), (left + width * 0.12, ridge), (left + width * 0.88, ridge), (left + width + 18, top)],
            roof,
            grain=self.fine * 14,
        )
        for row in range(1, 6):
            y = ridge + (top - ridge) * row / 6
            self.canvas.box(
                left + width * 0.12 * (6 - row) / 6, y, width * (0.76 + 0.04 * row), 2, (roof[0] + 40, roof[1], roof[2])
            )
        self.canvas.box(
            left + width * 0.42, base - height * 0.62, width * 0.16, height * 0.62, BRICK, grain=self.fine * 8
        )
        for x in (0.1, 0.7):
            self.canvas.box(left + width * x - 3, top + height * 0.22, width * 0.2 + 6, height * 0.36, WHITE)
            self.canvas.box(left + width * x, top + height * 0.25, width * 0.2, height * 0.3, DARK)
            self.canvas.box(left + width * (x + 0.095), top + height * 0.25, 4, height * 0.3, WHITE)

    def fence(
        self,
        base: float,
        *,
        left: float = 0,
        right: float = WIDTH,
        height: float = 60,
        step: float = 24,
        colour: Colour = WHITE,
    ) -> None:
        """Posts with two rails."""
        for x in np.arange(left, right, step):
            self.canvas.box(float(x), base - height, 7, height, colour)
        for share in (0.25, 0.7):
            self.canvas.box(left, base - height * share, right - left, 6, colour)

    def pole(self, x: float, base: float, height: float) -> None:
        """A pole with a cross-arm and a notice board."""
        self.canvas.box(x, base - height, 10, height, STEEL, grain=self.fine * 8)
        self.canvas.box(x - 40, base - height + 20, 90, 6, DARK)
        self.canvas.box(x - 22, base - height * 0.5, 54, 40, (70.0, 170.0, 100.0))
        for row in range(3):
            self.canvas.box(x - 16, base - height * 0.5 + 7 + 10 * row, 42, 4, WHITE)

    def crown(self, radius: float) -> Picture:
        """A tree's crown: many leaves, light and dark."""
        size = int(radius * 2.4)
        picture = blank(size, size)
        for _ in range(220):
            angle, reach = self.rng.uniform(0, 2 * math.pi), radius * math.sqrt(self.rng.uniform(0, 1))
            leaf = (float(self.rng.uniform(36, 122)), LEAF[1], LEAF[2])
            picture.ellipse(
                size / 2 + reach * math.cos(angle),
                size / 2 + reach * math.sin(angle),
                radius * 0.13,
                radius * 0.1,
                leaf,
            )
        return picture

    def tree(self, x: float, base: float, height: float, *, sway: float) -> Mover:
        """A tree: its trunk is painted, its crown sways by `sway` pixels."""
        self.canvas.box(x - 8, base - height, 16, height, TRUNK, grain=self.fine * 18)
        phase = float(self.rng.uniform(0, 6))
        centre = base - height
        return Mover(
            self.crown(height * 0.42),
            lambda t: (x + sway * math.sin(1.1 * t + phase), centre + 0.3 * sway * math.sin(1.9 * t + phase)),
        )


def _car(length: float, colour: Colour) -> Picture:
    width, height = int(length), int(length * 0.44)
    picture = blank(width, height)
    picture.box(0, height * 0.4, width, height * 0.42, colour)
    picture.polygon(
        [(width * 0.2, height * 0.42), (width * 0.32, 2), (width * 0.72, 2), (width * 0.86, height * 0.42)], colour
    )
    picture.polygon(
        [
            (width * 0.27, height * 0.4),
            (width * 0.35, height * 0.1),
            (width * 0.5, height * 0.1),
            (width * 0.5, height * 0.4),
        ],
        DARK,
    )
    picture.polygon(
        [
            (width * 0.54, height * 0.4),
            (width * 0.54, height * 0.1),
            (width * 0.69, height * 0.1),
            (width * 0.78, height * 0.4),
        ],
        DARK,
    )
    for x in (0.22, 0.78):
        picture.ellipse(width * x, height * 0.8, height * 0.19, height * 0.19, DARK)
        picture.ellipse(width * x, height * 0.8, height * 0.08, height * 0.08, STEEL)
    picture.box(width * 0.95, height * 0.48, width * 0.05, height * 0.1, LAMP)
    return picture


def _person(brush: _Brush, height: float) -> Picture:
    size = int(height)
    picture = blank(int(height * 0.4), size)
    middle = picture.width / 2
    top, legs = (CLOTHES[int(brush.rng.integers(len(CLOTHES)))] for _ in range(2))
    picture.ellipse(middle, size * 0.1, size * 0.08, size * 0.1, SKIN)
    picture.box(middle - size * 0.13, size * 0.2, size * 0.26, size * 0.38, top)
    picture.box(middle - size * 0.1, size * 0.56, size * 0.08, size * 0.44, legs)
    picture.box(middle + size * 0.02, size * 0.56, size * 0.08, size * 0.44, legs)
    return picture


def _across(y: float, *, speed: float, start: float, margin: float = 160) -> Path:
    """From side to side at `speed` pixels a second, and again from the other side."""
    span = WIDTH + 2 * margin
    return lambda t: ((start + speed * t) % span - margin, y)


def _stroll(x: float, y: float, *, reach: float, pace: float, phase: float) -> Path:
    """To and fro about (x, y), with steps."""
    return lambda t: (
        x + reach * math.sin(pace * t + phase),
        y + 0.25 * reach * math.sin(0.6 * pace * t + 2 * phase) + 2 * math.sin(9 * t + phase),
    )


def _road(brush: _Brush) -> tuple[Mover, ...]:
    canvas = brush.canvas
    canvas.box(0, 240, WIDTH, 480, GRASS, grain=brush.coarse * 40)
    for left, width, roof in ((70, 240, TILE), (420, 200, RED_TILE), (880, 280, TILE)):
        brush.house(left, 320, width, 130, roof=roof)
    brush.fence(350)
    canvas.box(0, 400, WIDTH, 220, ASPHALT, grain=brush.fine * 12)
    canvas.box(0, 396, WIDTH, 8, WHITE)
    canvas.box(0, 616, WIDTH, 8, WHITE)
    for x in range(0, WIDTH, 120):
        canvas.box(x, 506, 66, 8, WHITE)
    brush.pole(700, 395, 220)
    tree = brush.tree(350, 392, 190, sway=5)
    return (
        tree,
        Mover(_car(200, (170.0, 110.0, 150.0)), _across(455, speed=-170, start=300)),
        Mover(_car(250, (60.0, 160.0, 110.0)), _across(560, speed=230, start=700)),
        Mover(_car(230, (206.0, 126.0, 130.0)), _across(565, speed=230, start=1380)),
    )


def _square(brush: _Brush) -> tuple[Mover, ...]:
    canvas = brush.canvas
    brush.house(120, 300, 420, 160, wall=BRICK, roof=TILE)
    brush.house(760, 290, 360, 150)
    canvas.box(0, 290, WIDTH, 430, PAVING, grain=brush.fine * 16)
    for row in range(12):
        canvas.box(0, 300 + row * row * 3.1, WIDTH, 2 + row * 0.2, (108.0, 125.0, 131.0))
    for column in range(-12, 26):
        x = 640 + (column - 7) * 60
        canvas.polygon(
            [(x, 292), (x + 2, 292), (640 + (x - 640) * 2.6 + 5, 720), (640 + (x - 640) * 2.6, 720)],
            (108.0, 125.0, 131.0),
        )
    canvas.ellipse(640, 470, 150, 44, BRICK, grain=brush.fine * 14)
    canvas.ellipse(640, 462, 128, 34, LEAF, grain=brush.fine * 40)
    brush.pole(1180, 420, 260)
    tree = brush.tree(60, 420, 230, sway=6)
    people = [
        Mover(
            _person(brush, 70 + 0.3 * (y - 340)),
            _stroll(
                x,
                y,
                reach=float(brush.rng.uniform(50, 140)),
                pace=float(brush.rng.uniform(0.25, 0.6)),
                phase=float(brush.rng.uniform(0, 6)),
            ),
        )
        for x, y in ((260, 360), (930, 370), (460, 430), (820, 500), (330, 560), (1040, 600))
    ]
    return (tree, *people)


def _gate(brush: _Brush) -> tuple[Mover, ...]:
    canvas = brush.canvas
    canvas.box(0, 300, WIDTH, 420, EARTH, grain=brush.coarse * 34)
    brush.house(480, 330, 320, 150, roof=RED_TILE)
    canvas.box(0, 280, 400, 170, BRICK, grain=brush.fine * 12)
    canvas.box(900, 280, 380, 170, BRICK, grain=brush.fine * 12)
    for row in range(10):
        for left, right in ((0, 400), (900, 1280)):
            canvas.box(left, 282 + row * 17, right - left, 2, (140.0, 122.0, 138.0))
            for x in range(left + (row % 2) * 20, right, 40):
                canvas.box(x, 282 + row * 17, 2, 17, (140.0, 122.0, 138.0))
    for x in (384, 876):
        canvas.box(x, 220, 44, 240, PLASTER, grain=brush.fine * 12)
        canvas.box(x - 8, 206, 60, 20, RED_TILE)
    canvas.box(384, 150, 536, 60, RED_TILE, grain=brush.fine * 10)
    for x in range(440, 880, 90):
        canvas.box(x, 162, 40, 36, LAMP)
        canvas.box(x + 10, 170, 20, 20, RED_TILE)
    canvas.polygon([(430, 460), (876, 460), (1180, 720), (140, 720)], ASPHALT, grain=brush.fine * 14)
    barrier = blank(440, 14)
    for stripe in range(11):
        barrier.box(stripe * 40, 0, 40, 14, WHITE if stripe % 2 else (90.0, 100.0, 200.0))
    return (
        brush.tree(180, 300, 160, sway=5),
        Mover(barrier, lambda t: (655.0, 440.0 - 90 * max(0.0, math.sin(0.5 * t)))),
        Mover(
            _car(260, (190.0, 120.0, 124.0)),
            lambda t: (500 + 40 * math.sin(0.4 * t), 520 + 70 * math.sin(0.4 * t)),
        ),
        Mover(_person(brush, 120), _stroll(960, 560, reach=70, pace=0.5, phase=1.0)),
        Mover(_person(brush, 110), _stroll(300, 540, reach=60, pace=0.35, phase=3.0)),
    )


def _field(brush: _Brush) -> tuple[Mover, ...]:
    canvas = brush.canvas
    canvas.polygon(
        [(0, 250), (300, 170), (620, 235), (900, 150), (1280, 240), (1280, 300), (0, 300)], (110.0, 134.0, 120.0)
    )
    canvas.polygon([(0, 300), (0, 236), (420, 270), (1280, 230), (1280, 300)], LEAF, grain=brush.coarse * 24)
    canvas.box(0, 290, WIDTH, 430, CROP, grain=brush.fine * 46)
    for column in range(-16, 17):
        x = 640 + column * 34
        canvas.polygon(
            [(x, 296), (x + 3, 296), (640 + (x - 640) * 3.6 + 16, 720), (640 + (x - 640) * 3.6, 720)],
            (64.0, 118.0, 136.0),
        )
    canvas.polygon([(900, 296), (980, 296), (1280, 560), (1280, 720), (1120, 720)], EARTH, grain=brush.coarse * 30)
    brush.fence(360, left=0, right=620, height=56, step=30, colour=TRUNK)
    for x in (250, 1010):
        brush.pole(x, 420, 240)
    trees = [brush.tree(x, 380, height, sway=10) for x, height in ((90, 190), (480, 150), (760, 210), (1180, 180))]
    farmer = Mover(_person(brush, 96), _stroll(620, 520, reach=150, pace=0.22, phase=0.5))
    cart = Mover(_car(120, (130.0, 100.0, 170.0)), _across(330, speed=60, start=200))
    return (cart, *trees, farmer)


def _lane_at_dusk(brush: _Brush) -> tuple[Mover, ...]:
    canvas = brush.canvas
    canvas.box(0, 330, WIDTH, 390, (42.0, 130.0, 127.0), grain=brush.coarse * 14)
    wall: Colour = (64.0, 126.0, 132.0)
    brush.house(40, 400, 320, 190, wall=wall, roof=(34.0, 128.0, 130.0))
    brush.house(900, 410, 330, 200, wall=wall, roof=(34.0, 128.0, 130.0))
    for left, top in ((72, 257), (264, 257), (933, 260), (1131, 260)):
        canvas.box(left, top, 64, 57, LAMP)
        canvas.box(left + 30, top, 4, 57, DARK)
        canvas.box(left, top + 26, 64, 4, DARK)
    canvas.polygon([(560, 380), (700, 380), (1120, 720), (180, 720)], (74.0, 126.0, 131.0), grain=brush.fine * 16)
    for row in range(9):
        canvas.box(560 - 44 * row, 392 + 4.2 * row * row, 140 + 88 * row, 3, (40.0, 128.0, 128.0))
    canvas.box(780, 180, 12, 300, (28.0, 128.0, 128.0))
    canvas.box(700, 176, 92, 8, (28.0, 128.0, 128.0))
    canvas.ellipse(704, 190, 18, 10, LAMP)
    cone = blank(360, 300)
    cone.polygon([(170, 0), (190, 0), (350, 296), (10, 296)], (150.0, 108.0, 142.0))
    cone = Picture(cone.y, cone.u, cone.v, cone.alpha * np.float32(0.4))
    return (
        Mover(cone, lambda _: (704.0, 350.0), lambda t: 0.75 + 0.25 * math.sin(5 * t) * math.sin(1.7 * t)),
        Mover(_person(brush, 150), lambda t: (640 + 60 * math.sin(0.3 * t), 520 + 90 * math.sin(0.2 * t))),
        Mover(_person(brush, 100), _stroll(520, 440, reach=40, pace=0.4, phase=2.0)),
    )


def _riverside(brush: _Brush) -> tuple[Mover, ...]:
    canvas = brush.canvas
    canvas.box(0, 250, WIDTH, 60, LEAF, grain=brush.coarse * 30)
    for left, width in ((140, 180), (600, 220), (1010, 170)):
        brush.house(left, 300, width, 100)
    canvas.box(0, 300, WIDTH, 220, WATER, grain=brush.coarse * 18)
    canvas.polygon([(0, 520), (1280, 470), (1280, 720), (0, 720)], PAVING, grain=brush.fine * 22)
    for x in range(0, WIDTH, 64):
        top = 520 - 50 * x / WIDTH
        canvas.box(x, top - 70, 12, 78, PLASTER)
        canvas.box(x + 3, top - 64, 3, 70, DARK)
    canvas.polygon([(0, 446), (1280, 396), (1280, 408), (0, 458)], PLASTER)
    canvas.polygon([(0, 486), (1280, 436), (1280, 444), (0, 494)], PLASTER)
    brush.pole(1090, 530, 250)
    ripples = []
    for row in range(7):
        ripple = blank(220 + 30 * row, 8)
        for x in range(0, ripple.width, 36):
            ripple.ellipse(x + 16, 4, 15, 3, (164.0, 138.0, 118.0))
        ripples.append(
            Mover(
                ripple,
                _across(318 + row * 15, speed=20.0 + 6 * row, start=float(brush.rng.uniform(0, WIDTH)), margin=300),
            )
        )
    boat = blank(180, 70)
    boat.polygon([(0, 34), (180, 34), (150, 68), (26, 68)], TRUNK)
    boat.polygon([(40, 34), (60, 4), (126, 4), (140, 34)], RED_TILE)
    return (
        *ripples,
        Mover(boat, lambda t: (640 + 260 * math.sin(0.12 * t), 380 + 3 * math.sin(1.6 * t))),
        brush.tree(330, 560, 240, sway=8),
        Mover(_person(brush, 130), _stroll(800, 600, reach=220, pace=0.2, phase=0.0)),
    )


@dataclass(frozen=True, slots=True)
class _View:
    place: str
    sky: Colour
    paint: Callable[[_Brush], tuple[Mover, ...]]


SCENES: dict[str, _View] = {
    "road": _View("EAST ROAD", SKY, _road),
    "square": _View("VILLAGE SQUARE", SKY, _square),
    "gate": _View("SOUTH GATE", SKY, _gate),
    "field": _View("FIELD EDGE", SKY, _field),
    "lane": _View("LANE NORTH", DUSK, _lane_at_dusk),
    "river": _View("RIVERSIDE", SKY, _riverside),
}


def paint_scene(name: str, seed: int) -> Scene:
    """The scene of that name in `SCENES`; the same seed paints the same. Raises KeyError for an unknown name."""
    view = SCENES[name]
    rng = np.random.default_rng([seed, sum(name.encode())])
    canvas = blank(WIDTH, HEIGHT, view.sky)
    coarse = octaves(rng, HEIGHT, WIDTH)
    canvas.y[:] += coarse * 10  # clouds
    brush = _Brush(canvas, rng, coarse, octaves(rng, HEIGHT, WIDTH, cell=8, count=4))
    movers = view.paint(brush)
    return Scene(name, view.place, canvas, movers)
