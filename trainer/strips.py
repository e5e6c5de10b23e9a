"""Before, after and ground truth side by side, as PNG."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.errors import OutputError
from vidsr.fs import unwritable, write_atomically

Pixels = NDArray[np.uint8]
"""H W 3, RGB."""

SIDE = 384
"""Largest side, in output pixels, of the part of a picture that is shown."""
BAR = 22
"""Rows of the caption."""
GAP = 4


def window(picture: Pixels, scale: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the part of `picture` with the most detail, in multiples of `scale`."""
    height, width = (min(SIDE, side) // scale * scale for side in picture.shape[:2])
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
    total = cv2.integral(np.abs(cv2.Laplacian(gray, cv2.CV_64F)))
    inside = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    allowed = inside[::scale, ::scale]
    row, column = np.unravel_index(int(np.argmax(allowed)), allowed.shape)
    return int(row) * scale, int(column) * scale, height, width


def enlarged(picture: Pixels, scale: int) -> Pixels:
    """Every pixel repeated, so that what the network got is seen as it is."""
    return picture.repeat(scale, 0).repeat(scale, 1)


def strip(parts: list[tuple[str, Pixels]]) -> Pixels:
    """Pictures of one size from left to right, each with its caption above."""
    shown = [_captioned(name, picture) for name, picture in parts]
    gap = np.full((shown[0].shape[0], GAP, 3), 255, np.uint8)
    spaced = [piece for picture in shown for piece in (picture, gap)]
    return np.concatenate(spaced[:-1], axis=1)


def _captioned(name: str, picture: Pixels) -> Pixels:
    bar = np.full((BAR, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, name, (3, BAR - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([bar, picture])


def write_png(path: Path, picture: Pixels) -> None:
    """Raises OutputError."""
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError(f"picture {path} cannot be coded as PNG")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.tobytes())
    except OSError as error:
        raise unwritable(path.parent, error) from error


def read_png(path: Path) -> Pixels:
    """A picture that `write_png` wrote. Raises OutputError when it was damaged since."""
    found = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if found is None:
        raise OutputError(f"picture {path} cannot be read again", "delete it; it is made anew")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def file_name(text: str) -> str:
    """`text` with everything that is not fit for a file's name made a dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)
