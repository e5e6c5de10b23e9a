"""Pictures as a network is trained on them: 8-bit RGB, read by the readers of `vidsr upscale`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsr.errors import InputError
from vidsr.media.alpha import bled, peak_of
from vidsr.media.image_files.header import Broken
from vidsr.media.image_formats import format_of
from vidsr.media.images import Opened, Picture, open_picture
from vidsr.media.light import to_codes

from .index import MAX_PIXELS

Pixels = NDArray[np.uint8]
"""H W 3, RGB."""


def read_pixels(path: Path) -> Pixels:
    """The pixels of a picture file. Raises InputError for what is none, is damaged, or is too large."""
    return pixels_of(open_picture(path, MAX_PIXELS).picture())


def decode_pixels(data: bytes, name: str) -> Pixels:
    """The pixels of a picture that lies in memory; `name` is for messages. Raises InputError as `read_pixels`."""
    try:
        kind = format_of(data)
        header = kind.module.read(data)
    except Broken as error:
        raise InputError(f"picture {name}: {error}") from error
    if header.width * header.height > MAX_PIXELS:
        raise InputError(f"picture {name}: {header.width}x{header.height} pixels are more than {MAX_PIXELS}")
    return pixels_of(Opened(Path(name), data, kind, header).picture())


def pixels_of(picture: Picture) -> Pixels:
    """8 bits, rounded; gray in three equal channels; without alpha, the colours that it hid taken from around them.

    Linear light, as in EXR, becomes sRGB.
    """
    pixels: NDArray[Any] = picture.pixels
    if pixels.dtype.kind == "f":
        pixels = to_codes(pixels, np.dtype(np.uint8))
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels * (255 / peak_of(pixels.dtype))).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] in (2, 4):
        pixels = bled(pixels[..., :-1], pixels[..., -1])
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
