"""How large pictures are on their way: as the network gets them, after each pass through it, and at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from .frames import VideoTraits
from .options import Options

Size = tuple[int, int]
"""(width, height) in pixels."""

STRETCH = 1.5
"""Times a network's result may be enlarged by resampling before another pass through the network is made instead."""

MOST = 4
"""Passes at most that are made without being asked for."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """`native` is what the network gets, `passes` how often a picture goes through it, `final` the size at the end."""

    native: Size
    passes: int
    final: Size

    def before(self, number: int, scale: int) -> Size:
        """The size in front of pass `number`, 0 for the first, of a network of that scale."""
        return self.native[0] * scale**number, self.native[1] * scale**number


def plan_sizes(upright: VideoTraits, options: Options, scale: int, square: bool = False) -> Sizes:
    """Sizes for upright pictures and a network of that `scale`, from --prescale, --scale, --size, --height, --passes.

    With `square` the final width is that of the display, for outputs that can only have square pixels.
    """
    native = _native(upright, options.prescale)
    own = Fraction(native[1], upright.height) * scale ** _asked(options)
    final = _final(upright, options, own, square)
    passes = _passes(native, final, scale) if options.passes == "auto" else options.passes
    return Sizes(native, passes, final)


def own_scale(options: Options, scale: int) -> float:
    """The final size, as a factor, where none is asked for; a --prescale in pixels is left out."""
    factor = float(options.prescale) if options.prescale and "x" not in options.prescale else 1.0
    return float(scale ** _asked(options) * factor)


def _asked(options: Options) -> int:
    return 1 if options.passes == "auto" else options.passes


def _native(upright: VideoTraits, prescale: str | None) -> Size:
    """The size at which the network sees the pictures."""
    if prescale is None:
        return upright.width, upright.height
    if "x" in prescale:
        width, height = prescale.split("x")
        return int(width), int(height)
    factor = Fraction(prescale)
    return max(1, round(upright.width * factor)), max(1, round(upright.height * factor))


def _final(upright: VideoTraits, options: Options, own: Fraction, square: bool) -> Size:
    if options.size:
        width, height = options.size.split("x")
        return max(1, int(width)), max(1, int(height))
    factor = Fraction(str(options.scale)) if options.scale else own
    if options.height:
        factor = Fraction(options.height, upright.height)
    across = factor * upright.sample_aspect if square else factor
    return max(1, round(upright.width * across)), max(1, round(upright.height * factor))


def _passes(native: Size, final: Size, scale: int) -> int:
    """As many as leave resampling at most STRETCH to enlarge."""
    wanted = max(final[0] / native[0], final[1] / native[1]) / STRETCH
    return 1 if scale == 1 else min(MOST, max(1, math.ceil(math.log(max(wanted, 1), scale) - 1e-9)))
