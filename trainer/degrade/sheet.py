"""Picture sheets: what each step of a degradation does, before and after, with its parameters in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.errors import OutputError
from vidsr.fs import write_atomically

Picture = NDArray[np.uint8]
"""H W 3 uint8 RGB."""

PAPER, INK, QUIET = (250, 250, 248), (20, 20, 20), (110, 110, 110)
MARGIN, LINE = 10, 18
"""Pixels around each panel; height of a line of text."""
GLYPH = 8
"""Width in pixels of a character of OpenCV's plain font at the size used, nearly."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One step: what went in, what came out. The two pictures may differ in size."""

    title: str
    before: Picture
    after: Picture
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Named values that made this picture; numbers are shown with three digits."""


def sheet(panels: Sequence[Panel], *, columns: int = 2, side: int = 256) -> Picture:
    """All panels (at least one) in a grid, before and after side by side in cells of `side` pixels. H W 3 uint8 RGB.

    Smaller pictures are enlarged by repeating pixels, so that artefacts stay visible; larger ones are cropped to
    their middle, never shrunk.
    """
    width = 2 * side + 3 * MARGIN
    texts = [_lines(panel.parameters, (width - 2 * MARGIN) // GLYPH) for panel in panels]
    room = max(len(lines) for lines in texts)
    drawn = [_panel(panel, lines, room, side) for panel, lines in zip(panels, texts, strict=True)]
    empty = np.full_like(drawn[0], PAPER)
    drawn += [empty] * (-len(drawn) % columns)
    rows = [np.concatenate(drawn[start : start + columns], axis=1) for start in range(0, len(drawn), columns)]
    return np.concatenate(rows, axis=0)


def save_sheet(path: Path, panels: Sequence[Panel], *, columns: int = 2, side: int = 256) -> None:
    """Write `sheet` as a PNG. Raises OutputError where the file cannot be written."""
    _, data = cv2.imencode(".png", cv2.cvtColor(sheet(panels, columns=columns, side=side), cv2.COLOR_RGB2BGR))
    try:
        write_atomically(path, data.tobytes())
    except OSError as error:
        raise OutputError(f"picture sheet {path} cannot be written: {error.strerror}", "name another file") from error


def _panel(panel: Panel, lines: Sequence[str], room: int, side: int) -> Picture:
    """A title, `room` lines for the parameters, and the two pictures."""
    top = (1 + room) * LINE + MARGIN
    canvas: Picture = np.full((top + side + 2 * MARGIN, 2 * side + 3 * MARGIN, 3), PAPER, np.uint8)
    _write(canvas, panel.title, MARGIN, LINE, INK)
    for number, line in enumerate(lines):
        _write(canvas, line, MARGIN, (2 + number) * LINE, QUIET)
    for number, picture in enumerate((panel.before, panel.after)):
        left = MARGIN + number * (side + MARGIN)
        canvas[top : top + side, left : left + side] = _fitted(picture, side)
    return canvas


def _fitted(picture: Picture, side: int) -> Picture:
    """`side` x `side` pixels: the middle of the picture, enlarged a whole number of times where it is small."""
    times = max(1, side // max(picture.shape[:2]))
    large = picture.repeat(times, axis=0).repeat(times, axis=1)
    top, left = (max(0, (length - side) // 2) for length in large.shape[:2])
    middle = large[top : top + side, left : left + side]
    framed: Picture = np.full((side, side, 3), PAPER, np.uint8)
    framed[: middle.shape[0], : middle.shape[1]] = middle
    return framed


def _lines(parameters: Mapping[str, Any], width: int) -> list[str]:
    """`name value` pairs, broken into lines of at most `width` characters."""
    lines = [""]
    for name, value in parameters.items():
        word = f"{name} {_shown(value)}"
        if lines[-1] and len(lines[-1]) + len(word) + 2 > width:
            lines.append("")
        lines[-1] += ("  " if lines[-1] else "") + word
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.3g}"
    return " ".join(map(_shown, value)) if isinstance(value, tuple | list) else str(value)


def _write(canvas: Picture, text: str, left: int, baseline: int, colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
