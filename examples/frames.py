"""Frames in, frames out, with something of one's own on both sides: here PyAV, and a fade from black.

    python examples/frames.py input.mp4 output.mkv

`upscale_frames` asks for frames as results are taken, so a film of any length needs the memory of a few frames. The
first of each pair may be anything, and comes back with its frame: here it is the time of the frame.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

import vidsr


def faded(container: Any, pictures: int = 24) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """The time and the RGB of every frame."""
    for number, frame in enumerate(container.decode(video=0)):
        share = min(1.0, (number + 1) / pictures)
        yield frame.pts, (frame.to_ndarray(format="rgb24") * share).astype(np.uint8)


def main(source: str, target: str) -> int:
    upscaler = vidsr.Upscaler("animevideov3")
    with av.open(source) as old, av.open(target, "w") as new:
        video = old.streams.video[0]
        assert video.time_base is not None
        stream = new.add_stream("libx264", rate=video.average_rate)
        stream.width, stream.height, stream.pix_fmt = 2 * video.width, 2 * video.height, "yuv420p"
        stream.codec_context.time_base = video.time_base
        for pts, large in upscaler.upscale_frames(faded(old), scale=2):
            frame = av.VideoFrame.from_ndarray(large, format="rgb24")
            frame.pts, frame.time_base = pts, video.time_base
            new.mux(stream.encode(frame))
        new.mux(stream.encode(None))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
