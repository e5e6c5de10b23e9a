"""The pictures of one film in the form of another: its size, planes, matrix, range and depth.

What is compared is what is shown: each film is read by its own colour tags. Where nothing has to be changed nothing
is, so that equal files have equal samples. Resampling is by areas where a picture shrinks, by a cubic where it grows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frames import ColorTags, PixelLayout, Plane, VideoTraits
from ..media.color import code_range, luma_weights

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]
"""3 3; from components in rows of a column vector."""


@dataclass(frozen=True)
class Form:
    """What the samples of a picture mean: `layout.depth` is that of the codes, `color` has matrix and range."""

    width: int
    height: int
    layout: PixelLayout
    color: ColorTags

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the planes."""
        return {"yuv": ("y", "u", "v"), "rgb": ("r", "g", "b"), "gray": ("y",)}[self.layout.family]

    def ranges(self) -> list[tuple[int, int]]:
        """(offset, span) of the codes of each plane."""
        chroma = self.layout.family == "yuv"
        return [
            code_range(self.layout, bool(self.color.full_range), chroma=chroma and place > 0)
            for place in range(len(self.names))
        ]


def form_of(traits: VideoTraits, depth: int | None = None) -> Form:
    """That of a film, or of its codes at another `depth`."""
    layout = traits.layout if depth is None else replace(traits.layout, depth=depth)
    return Form(traits.width, traits.height, layout, traits.color)


def screen(traits: VideoTraits) -> Form:
    """8-bit RGB in full range, of the size of a film."""
    return Form(traits.width, traits.height, PixelLayout("rgb"), replace(traits.color, matrix=0, full_range=True))


class Adapter:
    """Planes of `source` as planes of `target`: untouched if both are of one form, else float32 codes."""

    def __init__(self, source: Form, target: Form) -> None:
        self.source, self.target = source, target
        self._turn = _turn(source, target)

    def __call__(self, planes: tuple[Plane, ...]) -> tuple[NDArray[Any], ...]:
        """Codes of the target's depth, not rounded, within 0 … peak."""
        if self.source == self.target or self._only_tags_differ():
            return planes
        values = [(plane.astype(np.float32) - low) / np.float32(span)
                  for plane, (low, span) in zip(planes, self.source.ranges(), strict=True)]  # fmt: skip
        if self._turn is not None:
            values = _turned(values, self._turn)
        sizes = self.target.layout.plane_sizes(self.target.width, self.target.height)
        ranges, peak = self.target.ranges(), self.target.layout.peak
        sized = [resized(value, *size) for value, size in zip(values, sizes, strict=False)]
        return tuple(
            np.clip(value * np.float32(span) + low, 0, peak) for value, (low, span) in zip(sized, ranges, strict=True)
        )

    def _only_tags_differ(self) -> bool:
        """Whether nothing that bears on the samples differs."""
        same = (self.source.width, self.source.height, self.source.layout) == (
            self.target.width, self.target.height, self.target.layout,
        )  # fmt: skip
        ranged = self.source.color.full_range == self.target.color.full_range
        return same and ranged and self._turn is None


def _turn(source: Form, target: Form) -> Matrix | None:
    """From the components of `source` to those of `target`; None where they are the same."""
    families = {source.layout.family, target.layout.family}
    if families in ({"rgb"}, {"gray"}):
        return None
    if families == {"gray", "yuv"}:
        return np.eye(3)
    matrices = [form.color.matrix for form in (source, target)]
    if families == {"yuv"} and luma_weights(matrices[0]) == luma_weights(matrices[1]):
        return None
    return np.linalg.inv(to_rgb(target)) @ to_rgb(source)


def to_rgb(form: Form) -> Matrix:
    """From the components of `form` to R G B, all 0 … 1, chroma -0.5 … 0.5 (H.273 equations 38 … 40)."""
    return np.eye(3) if form.layout.family == "rgb" else rgb_of(form.color.matrix)


def rgb_of(matrix: int) -> Matrix:
    """From Y Cb Cr of a matrix code point to R G B."""
    red, blue = luma_weights(matrix)
    green = 1 - red - blue
    from_rgb = np.array([
        [red, green, blue],
        [-red / (2 - 2 * blue), -green / (2 - 2 * blue), 0.5],
        [0.5, -green / (2 - 2 * red), -blue / (2 - 2 * red)],
    ])  # fmt: skip
    return np.linalg.inv(from_rgb)


def _turned(values: list[Floats], turn: Matrix) -> list[Floats]:
    """Three components after a matrix, all of the size of the first; gray has neutral chroma."""
    height, width = values[0].shape
    values = [resized(value, height, width) for value in values]
    values += [np.zeros_like(values[0])] * (3 - len(values))
    rows = turn.astype(np.float32)
    return [row[0] * values[0] + row[1] * values[1] + row[2] * values[2] for row in rows]


def resized(plane: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """The plane at another size."""
    if plane.shape == (height, width):
        return plane
    shrinks = height * width < plane.size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(plane, (width, height), interpolation=how))


def codes_to_screen(planes: tuple[NDArray[Any], ...]) -> NDArray[np.uint8]:
    """H W 3 of the planes R G B in 8-bit codes."""
    return np.stack([np.rint(plane).astype(np.uint8) for plane in planes], axis=-1)
