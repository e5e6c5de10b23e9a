"""The cartoon that `vidsr demo` upscales: drawn here, picture by picture, and a tune for it.

All positions are in a scene of 16 x 9 units, x to the right and y down. It is animated on twos, as hand-drawn film
is: every drawing is shown for two frames.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
Point = tuple[float, float]

FINER = 4
"""Drawn this many times larger and then averaged, as a camera would."""
SHIFT = 4
"""Fractional bits of cv2's coordinates: 1/16 pixel."""

INK: Colour = (38, 28, 44)
SKY: Colour = (150, 206, 240)
SUN: Colour = (255, 226, 120)
CLOUD: Colour = (250, 250, 252)
FAR_HILL: Colour = (126, 178, 132)
NEAR_HILL: Colour = (92, 152, 84)
FUR: Colour = (240, 148, 74)
BELLY: Colour = (252, 222, 178)
WHITE: Colour = (255, 255, 255)
BALL: Colour = (214, 60, 72)
WOOD: Colour = (196, 150, 98)


class Canvas:
    """A picture under the pen. `pen` is the width of an outline in units."""

    def __init__(self, width: int, height: int, pen: float = 0.09) -> None:
        self._size = (width, height)
        self._unit = width * FINER / 16
        self._pen = max(1, round(pen * self._unit))
        self._image: Any = np.full((height * FINER, width * FINER, 3), SKY, np.uint8)

    def shape(self, points: list[Point], fill: Colour, outline: bool = True) -> None:
        """A closed polygon."""
        corners = np.array([self._at(point) for point in points], np.int32)
        cv2.fillPoly(self._image, [corners], fill, cv2.LINE_AA, SHIFT)
        if outline:
            cv2.polylines(self._image, [corners], True, INK, self._pen, cv2.LINE_AA, SHIFT)

    def oval(self, centre: Point, radii: Point, fill: Colour, angle: float = 0, outline: bool = True) -> None:
        """An ellipse, turned by `angle` degrees."""
        axes = (self._fixed(radii[0]), self._fixed(radii[1]))
        at = self._at(centre)
        cv2.ellipse(self._image, at, axes, angle, 0, 360, fill, cv2.FILLED, cv2.LINE_AA, SHIFT)
        if outline:
            cv2.ellipse(self._image, at, axes, angle, 0, 360, INK, self._pen, cv2.LINE_AA, SHIFT)

    def line(self, points: list[Point], colour: Colour = INK, pens: float = 1) -> None:
        """An open line, `pens` outlines wide."""
        corners = np.array([self._at(point) for point in points], np.int32)
        cv2.polylines(self._image, [corners], False, colour, max(1, round(self._pen * pens)), cv2.LINE_AA, SHIFT)

    def text(self, words: str, left: Point, height: float) -> None:
        """Words whose capitals are `height` units high, from the lower left corner."""
        origin = (round(left[0] * self._unit), round(left[1] * self._unit))
        scale = height * self._unit / 21  # the capitals of this font are 21 pixels high at scale 1
        cv2.putText(self._image, words, origin, cv2.FONT_HERSHEY_DUPLEX, scale, INK, self._pen, cv2.LINE_AA)

    def picture(self) -> Image:
        """H W 3, uint8, RGB."""
        return np.asarray(cv2.resize(self._image, self._size, interpolation=cv2.INTER_AREA), np.uint8)

    def _fixed(self, units: float) -> int:
        return round(units * self._unit * (1 << SHIFT))

    def _at(self, point: Point) -> tuple[int, int]:
        return self._fixed(point[0]), self._fixed(point[1])


def frame(index: int, width: int = 256, height: int = 144) -> Image:
    """Frame `index` at 24 frames a second: H W 3, uint8, RGB."""
    seconds = index // 2 * 2 / 24
    canvas = Canvas(width, height)
    _scenery(canvas, seconds)
    _fox(canvas, seconds)
    _ball(canvas, seconds)
    return canvas.picture()


def _scenery(canvas: Canvas, seconds: float) -> None:
    canvas.oval((13.6, 1.7), (1.0, 1.0), SUN)
    for left, top, size in ((1.5, 1.2, 1.0), (8.4, 0.8, 0.7)):
        _cloud(canvas, left + 0.4 * seconds, top, size)
    canvas.shape(_hill(6.2, 0.7, 0.9, 0.4), FAR_HILL)
    canvas.shape(_hill(7.2, 0.35, 0.5, 2.0), NEAR_HILL)
    for blade in range(17):
        x, y = blade * 0.97 + 0.2, 8.1 + 0.45 * math.sin(blade * 2.4)
        canvas.line([(x, y), (x + 0.1, y - 0.28), (x + 0.2, y)], pens=0.6)
    canvas.shape([(12.5, 7.8), (12.5, 5.6), (12.8, 5.6), (12.8, 7.8)], WOOD)
    canvas.shape([(10.9, 4.2), (14.5, 4.0), (14.6, 5.6), (11.0, 5.8)], WOOD)
    canvas.text("HELLO", (11.3, 5.25), 0.66)


def _cloud(canvas: Canvas, left: float, top: float, size: float) -> None:
    puffs = [(0.0, 0.5, 0.5), (0.7, 0.25, 0.65), (1.5, 0.35, 0.55), (2.1, 0.55, 0.4)]
    for outline in (True, False):  # the second round covers the lines between the puffs
        for x, y, radius in puffs:
            grown = radius * size if outline else radius * size - 0.04
            canvas.oval((left + x * size, top + y * size), (grown, grown), CLOUD, outline=outline)


def _hill(top: float, swing: float, wave: float, phase: float) -> list[Point]:
    ridge = [(x / 4, top + swing * math.sin(wave * x / 4 + phase)) for x in range(-2, 67)]
    return [(-0.5, 9.5), *ridge, (16.5, 9.5)]


def _fox(canvas: Canvas, seconds: float) -> None:
    """It stands at x = 5, breathes, blinks once a second and follows the ball with its eyes."""
    breath = 0.06 * math.sin(seconds * 2 * math.pi)
    wag = 12 * math.sin(seconds * 4 * math.pi)
    canvas.oval((3.2, 6.9), (1.25, 0.5), FUR, angle=-35 + wag)
    canvas.oval((2.45, 6.3 - wag / 60), (0.42, 0.36), WHITE, angle=-35 + wag)
    for x in (4.35, 5.65):
        canvas.oval((x, 8.05), (0.5, 0.28), FUR)
    canvas.oval((5.0, 6.7), (1.15, 1.45 + breath), FUR)
    canvas.oval((5.0, 7.0), (0.68, 0.95 + breath), BELLY, outline=False)
    _head(canvas, 4.3 - 2 * breath, seconds)


def _head(canvas: Canvas, y: float, seconds: float) -> None:
    for side in (-1, 1):
        canvas.shape([(5 + side * 1.35, y - 0.2), (5 + side * 1.3, y - 1.75), (5 + side * 0.35, y - 0.95)], FUR)
        canvas.shape([(5 + side * 1.15, y - 0.6), (5 + side * 1.16, y - 1.3), (5 + side * 0.7, y - 0.95)], BELLY, False)
    canvas.oval((5.0, y), (1.5, 1.15), FUR)
    canvas.oval((5.0, y + 0.5), (0.85, 0.55), BELLY, outline=False)
    x, height = ball_at(seconds)
    look = (0.14 * (x - 5) / 6, 0.14 * (height - 5) / 4)
    for side in (-1, 1):
        _eye(canvas, (5 + side * 0.58, y - 0.15), look, closed=seconds % 1 > 0.9)
    canvas.oval((5.0, y + 0.3), (0.2, 0.14), INK)
    canvas.line([(4.55, y + 0.62), (4.8, y + 0.76), (5.0, y + 0.62), (5.2, y + 0.76), (5.45, y + 0.62)], pens=0.8)
    for side in (-1, 1):
        for drop in (0.42, 0.6):
            canvas.line([(5 + side * 0.95, y + drop), (5 + side * 1.75, y + drop * 1.3 - 0.2)], pens=0.5)


def _eye(canvas: Canvas, centre: Point, look: Point, closed: bool) -> None:
    x, y = centre
    if closed:
        canvas.line([(x - 0.3, y), (x, y + 0.12), (x + 0.3, y)])
        return
    canvas.oval(centre, (0.32, 0.38), WHITE)
    canvas.oval((x + look[0], y + look[1]), (0.17, 0.22), INK)
    canvas.oval((x + look[0] + 0.06, y + look[1] - 0.08), (0.06, 0.07), WHITE, outline=False)


def ball_at(seconds: float) -> Point:
    """Centre of the ball: it bounces once a second on the near hill, and drifts from side to side."""
    part = seconds % 1
    return 9.0 + 1.2 * math.sin(seconds * math.pi), 7.6 - 16 * part * (1 - part)


def _ball(canvas: Canvas, seconds: float) -> None:
    x, y = ball_at(seconds)
    height = (7.6 - y) / 4
    canvas.oval((x, 8.35), (0.7 - 0.35 * height, 0.14), (66, 116, 62), outline=False)
    squash = 0.12 * max(0.0, 1 - 8 * height)
    canvas.oval((x, y + squash), (0.7 + squash, 0.7 - squash), BALL)
    turn = math.degrees(x) * 1.2
    canvas.oval((x, y + squash), (0.68, 0.24), WHITE, angle=turn, outline=False)
    canvas.oval((x - 0.24, y - 0.3 + squash), (0.13, 0.09), WHITE, angle=-35, outline=False)


RATE = 48000
"""Samples of sound per second."""
TUNE = (60, 64, 67, 72, 71, 67, 69, 65, 62, 65, 69, 74, 72, 67, 64, 60)
"""MIDI notes, four a second."""


def melody(samples: int) -> NDArray[np.float32]:
    """Sound: 2 channels x samples, float32 in [-1, 1], at RATE. Plucked notes with three overtones."""
    time = np.arange(samples) / RATE
    step = (time * 4).astype(np.int64)
    since = time - step / 4
    pitch = 440 * 2 ** ((np.array(TUNE)[step % len(TUNE)] - 69) / 12)
    tone = sum(np.sin(2 * np.pi * n * pitch * since) / n**1.7 for n in range(1, 5))
    loudness = np.minimum(since * 200, 1) * np.exp(-6 * since) * np.clip((0.25 - since) * 200, 0, 1)
    mono = 0.4 * tone * loudness
    return np.stack([mono, mono]).astype(np.float32)
