"""Comparison sheets as PNG, for those who have no browser: a row for each close-up, a column for each version."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..fs import write_atomically
from .budget import crop_of
from .model import Page, Picture, Shot

GAP = 8
CAPTION = 30
"""Pixels of the strip above a picture that says what it is."""
WHOLE = 480
"""Width in pixels of the whole pictures in the first row."""
FONT = cv2.FONT_HERSHEY_DUPLEX
INK = (30, 30, 34)


def write_sheets(folder: Path, stem: str, page: Page) -> list[Path]:
    """A PNG for each shot of the page, `<stem>_<number>.png` in `folder`; their paths. Raises OutputError."""
    paths = []
    for number, shot in enumerate(page.comparisons, 1):
        path = folder / f"{stem}_{number}.png"
        done, data = cv2.imencode(".png", cv2.cvtColor(sheet(shot), cv2.COLOR_RGB2BGR))
        assert done
        write_atomically(path, data.tobytes())
        paths.append(path)
    return paths


def sheet(shot: Shot) -> Picture:
    """The whole pictures, small, above their close-ups, pixel for pixel; close-ups under 2/3 of WHOLE are doubled."""
    layers = list(shot.layers.values())
    height, width = layers[0].shape[:2]
    small = (WHOLE, max(1, round(height * WHOLE / width)))
    rows = [[np.asarray(cv2.resize(layer, small, interpolation=cv2.INTER_AREA), np.uint8) for layer in layers]]
    for box in shot.crops:
        times = 2 if box.width * 2 <= WHOLE * 4 // 3 else 1
        rows.append([crop_of(layer, box).repeat(times, axis=0).repeat(times, axis=1) for layer in layers])
    wide = max(picture.shape[1] for row in rows for picture in row)
    names = [_caption(name, wide) for name in shot.layers]
    parts = [_caption(f"{shot.name}  {shot.note}", (wide + GAP) * len(layers) - GAP), _row(names, wide)]
    parts += [_row(row, wide) for row in rows]
    return np.concatenate([part for part in parts for part in (part, _blank(GAP, part.shape[1]))][:-1])


def _blank(height: int, width: int) -> Picture:
    return np.full((height, width, 3), 255, np.uint8)


def _caption(text: str, width: int) -> Picture:
    """Text in a strip of that width, made smaller where it is longer."""
    strip = _blank(CAPTION, width)
    plain = text.encode("ascii", "replace").decode()  # the fonts of OpenCV know nothing else
    (long, _), _ = cv2.getTextSize(plain, FONT, 0.6, 1)
    cv2.putText(strip, plain, (2, CAPTION - 9), FONT, 0.6 * min(1.0, (width - 4) / max(1, long)), INK, 1, cv2.LINE_AA)
    return strip


def _row(pictures: list[Picture], wide: int) -> Picture:
    """Pictures beside each other, each in a column of `wide` pixels."""
    high = max(picture.shape[0] for picture in pictures)
    cells = []
    for picture in pictures:
        cell = _blank(high, wide)
        cell[: picture.shape[0], : picture.shape[1]] = picture
        cells += [cell, _blank(high, GAP)]
    return np.concatenate(cells[:-1], axis=1)
