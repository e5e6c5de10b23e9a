"""Tiny data sets, made on the spot: pictures that all differ, pairs, and films with cuts, stills and blanks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def picture(number: int, height: int = 48, width: int = 64) -> Pixels:
    """H W 3 RGB: smooth waves, and a bright square, placed by the number."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(columns / (5 + number % 7) + number + k) + np.cos(rows / (6 + k) + 0.3 * number) for k in range(3)]
    image = (np.stack(waves, 2) * 45 + 110).astype(np.uint8)
    top, left = 5 * number % (height - 12), 7 * number % (width - 12)
    image[top : top + 10, left : left + 10] = 250
    return image


def write(path: Path, pixels: NDArray[Any]) -> Path:
    """A picture file of H W, H W 3 or H W 4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, order[pixels.shape[2]])
    assert cv2.imwrite(str(path), stored)
    return path


def pictures(folder: Path, count: int, size: tuple[int, int] = (48, 64)) -> Path:
    """A folder of `count` PNGs, every third one in a folder inside it."""
    for number in range(count):
        inside = folder / "more" if number % 3 == 2 else folder
        write(inside / f"{number:04}.png", picture(number, *size))
    return folder


def pairs(folder: Path, count: int, scale: int = 2) -> tuple[Path, Path]:
    """Folders gt and lq of `count` pairs; the small ones are means over areas."""
    for number in range(count):
        large = picture(number, 48, 64)
        small = cv2.resize(large, (64 // scale, 48 // scale), interpolation=cv2.INTER_AREA)
        write(folder / "gt" / f"{number:04}.png", large)
        write(folder / "lq" / f"{number:04}.png", small.astype(np.uint8))
    return folder / "gt", folder / "lq"


def scene(number: int, frames: int, size: tuple[int, int] = (64, 96), held: int = 1) -> list[Pixels]:
    """Frames of one place: the background stays, a large square moves at every `held`th frame."""
    found = []
    for frame in range(frames):
        image = picture(number, *size).astype(np.int64) // 2 + 20 * (number % 4)
        left = 4 * (frame // held) % (size[1] - 24)
        image[20:44, left : left + 24] = 255 - image[20:44, left : left + 24]
        found.append(image.clip(0, 255).astype(np.uint8))
    return found


def film(
    path: Path, frames: Sequence[Pixels], *, codec: str = "libx264", options: dict[str, str] | None = None,
    pts: Sequence[int] | None = None, pix_fmt: str = "yuv420p",
) -> Path:  # fmt: skip
    """A film of the frames; `pts` are in 1/24 s, one after another where they are not given."""
    words = {"preset": "ultrafast", "qp": "4"} if codec == "libx264" and options is None else options or {}
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=24, options=words)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 24)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = pts[number] if pts else number, Fraction(1, 24)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
