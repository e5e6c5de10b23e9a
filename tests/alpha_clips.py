"""Clips with transparency, made on the spot, and what decodes them whole."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vidsr.frames import PixelLayout, Plane
from vidsr.media.alpha_streams import alpha_decoder
from vidsr.media.pixels import layout_of, planes_of

from .clips import picture

Rgba = np.ndarray[Any, np.dtype[np.uint8]]


def cutout(index: int, width: int = 64, height: int = 64, around: Sequence[int] = (0, 255, 0)) -> Rgba:
    """Picture `index` of `clips.picture`, cut out by a disc with a soft edge that moves 2 pixels a frame, H W 4.

    Where nothing is visible, it has the colour `around`, which must not be seen.
    """
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - width / 3 - 2 * index)
    alpha = np.clip((min(width, height) / 3 - distance) * 40 + 128, 0, 255).astype(np.uint8)
    result = np.dstack([picture(index, width, height), alpha])
    result[alpha == 0, :3] = around
    return result


def make_alpha_clip(
    path: Path,
    frames: Sequence[Rgba],
    codec: str = "ffv1",
    pix_fmt: str = "bgra",
    *,
    options: dict[str, str] | None = None,
    pts: Sequence[int] | None = None,
    rotation: float | None = None,
) -> Path:
    """Write `frames`, RGBA, at 24 a second, or at `pts` in milliseconds."""
    base = Fraction(1, 24000) if pts is None else Fraction(1, 1000)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=24, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = pix_fmt, base
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgba")
            frame = frame.reformat(format=pix_fmt, threads=1)
            frame.pts, frame.time_base = pts[number] if pts else 1000 * number, base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def read_planes(path: Path) -> tuple[list[Fraction], list[tuple[Plane, ...]], PixelLayout]:
    """Times in seconds, planes and layout of all pictures of `path`, its transparency among them."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        decoder = alpha_decoder(video) or video.codec_context
        shown = [
            shown for packet in container.demux(video) for shown in decoder.decode(packet if packet.size else None)
        ]
        layout = layout_of(shown[0].format.name)
        return [each.pts * video.time_base for each in shown], [planes_of(each, layout) for each in shown], layout
