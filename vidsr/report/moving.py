"""Short videos for a page: small files of H.264 or VP9 that browsers play."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from .model import Clip, Picture

WAYS = {
    "h264": ("mp4", "libx264", {"crf": "18", "preset": "medium", "movflags": "+faststart"}, "video/mp4"),
    "vp9": ("webm", "libvpx-vp9", {"crf": "24", "b": "0", "row-mt": "1", "cpu-used": "4"}, "video/webm"),
}
"""Container, encoder, its options and what browsers are told."""
WIDEST = 1280
"""Pixels of a side at most: what is wider is made smaller, for screens show two beside each other."""


def clip(name: str, versions: Mapping[str, Sequence[Picture]], rate: Fraction, codec: str) -> Clip:
    """The same frames in several versions, H W 3 uint8 RGB each, as videos of equal length; `codec` is one of WAYS."""
    height, width = next(iter(versions.values()))[0].shape[:2]
    ratio = min(1.0, WIDEST / max(width, height))
    size = (max(2, round(width * ratio) // 2 * 2), max(2, round(height * ratio) // 2 * 2))
    files = {words: _file(pictures, size, rate, codec) for words, pictures in versions.items()}
    return Clip(name, files, WAYS[codec][3], *size)


def _file(pictures: Sequence[Picture], size: tuple[int, int], rate: Fraction, codec: str) -> bytes:
    container, encoder, words, _ = WAYS[codec]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(encoder, rate=rate, options=words)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        for picture in pictures:
            small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(np.asarray(small, np.uint8), format="rgb24")
            output.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=1, threads=1)))
        output.mux(stream.encode(None))
    return file.getvalue()
