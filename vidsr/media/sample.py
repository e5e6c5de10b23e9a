"""Clips to measure with: made on the spot, or the beginning of a given one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from ..errors import InputError
from .libav import main_video, open_input

RATE = 24
STEP = 2
"""Pixels that the picture of a made clip moves to the right from one frame to the next."""


def make_sample(path: Path, width: int, height: int, frames: int) -> Path:
    """Write a Matroska clip of H.264, 8 bit 4:2:0, BT.709: a soft coloured texture with edges that moves all over.

    No frame equals another and nothing is random: the same call gives the same pictures.
    """
    wide = width + STEP * frames
    picture = _texture(wide, height)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        for index in range(frames):
            part = np.ascontiguousarray(picture[:, wide - width - STEP * index : wide - STEP * index])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(part, "rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def _texture(width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """H W 3, RGB: noise of several sizes, with flat areas between sharp edges, as drawings and films have."""
    random = np.random.default_rng(0)
    picture = np.zeros((height, width, 3), np.float32)
    for size, gain in ((6, 110), (24, 50), (96, 24)):
        small = random.random((height // size + 2, width // size + 2, 3), np.float32)
        picture += gain * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    flat = np.round(picture / 40) * 40
    soft = cv2.resize(random.random((4, 4), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.where(soft[..., None] > 0.5, flat, picture), 0, 255).astype(np.uint8)


def trim(source: Path, target: Path, frames: int) -> Path:
    """Copy the first `frames` coded pictures of `source` to the Matroska file `target`, packets untouched.

    Raises InputError when `source` cannot be read or holds fewer.
    """
    with open_input(source) as old, av.open(str(target), "w", format="matroska") as new:
        video = main_video(old, source)
        copied: Any = new.add_stream_from_template(video, opaque=True)
        count = 0
        for packet in old.demux(video):
            if count == frames or not packet.size:
                break
            packet.stream = copied
            new.mux(packet)
            count += 1
    if count < frames:
        raise InputError(
            f"input {source}: holds {count} frames where {frames} are to be measured", "use fewer --frames"
        )
    return target
