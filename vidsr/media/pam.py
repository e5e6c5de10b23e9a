"""Arrays as packets of one picture each: Netpbm's pam(5), which FFmpeg decodes to the very samples."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

_TUPLES = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}


def channels_of(pixels: NDArray[Any]) -> int:
    """Of H W or H W C."""
    return int(pixels.shape[2]) if pixels.ndim == 3 else 1


def pam(pixels: NDArray[Any]) -> bytes:
    """H W or H W C, uint8 or uint16, as a file of Netpbm, whose samples are big-endian."""
    height, width = pixels.shape[:2]
    channels, largest = channels_of(pixels), np.iinfo(pixels.dtype).max
    words = f"WIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {largest}\nTUPLTYPE {_TUPLES[channels]}"
    return f"P7\n{words}\nENDHDR\n".encode() + pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()


def container_of(pixels: NDArray[Any], rate: Fraction | None) -> InputContainer:
    """A container of a film of such pictures, of which it holds one; `rate` is in pictures a second."""
    return av.open(io.BytesIO(pam(pixels)), "r", "pam_pipe", options={"framerate": str(rate or 25)})
