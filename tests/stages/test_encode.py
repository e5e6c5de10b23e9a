"""Whatever PyAV would silently adapt is refused before it sees it."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.nvidia import Fetched
from vidsr.frames import ColorTags, PixelLayout, UpscaledFrame
from vidsr.runtime.surfaces import surface
from vidsr.stages.encode import Encoding

LAYOUT = PixelLayout("yuv", 8, 1, 1)


def encoding(on_device: bool) -> Encoding:
    stream: Any = av.open(io.BytesIO(), "w", format="matroska").add_stream("ffv1", rate=25)
    stream.width, stream.height, stream.pix_fmt = 8, 4, "yuv420p"
    stream.codec_context.time_base = Fraction(1, 25)
    surfaces = Fetched(8, None, pix_fmt="yuv420p") if on_device else None
    return Encoding(stream, "yuv420p", LAYOUT, 8, 4, ColorTags(1, False, 1, 1), surfaces=surfaces)


def planes(width: int, height: int) -> tuple[np.ndarray, ...]:
    sizes = LAYOUT.plane_sizes(width, height)
    return tuple(np.full(size, 16 + n, np.uint8) for n, size in enumerate(sizes))


def on_device(width: int, height: int) -> tuple[Tensor, ...]:
    return surface(tuple(map(torch.from_numpy, planes(width, height))), 8)


def test_surfaces_and_planes_become_the_same_packets() -> None:
    packets = []
    for made, frames in ((encoding(False), planes(8, 4)), (encoding(True), on_device(8, 4))):
        packets.append([bytes(p) for p in made.packets([UpscaledFrame(frames, 0, 1), UpscaledFrame(frames, 1, 1)])])
    assert packets[0] == packets[1]
    assert len(packets[0]) == 2


@pytest.mark.parametrize("device", [False, True])
@pytest.mark.parametrize("size", [(8, 6), (6, 4), (4, 8)])
def test_another_size_is_refused(device: bool, size: tuple[int, int]) -> None:
    frame = UpscaledFrame(on_device(*size) if device else planes(*size), 0)
    with pytest.raises(AssertionError, match="belong"):
        list(encoding(device).packets([frame]))


@pytest.mark.parametrize("device", [False, True])
def test_planes_of_the_other_kind_are_refused(device: bool) -> None:
    frame = UpscaledFrame(planes(8, 4) if device else on_device(8, 4), 0)
    with pytest.raises(AssertionError, match="belong"):
        list(encoding(device).packets([frame]))
