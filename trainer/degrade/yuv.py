"""Frames to the planes of a codec and back, by the very converters of the upscaler, so that what a network is trained
on is what it will be given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vidsr.frames import ColorTags, PixelLayout, Plane, Siting
from vidsr.media.color import BT709, SMPTE170M
from vidsr.runtime.planes import FromRGB, ToRGB

from .pixels import Frame, rounded

LAYOUTS = {"420": PixelLayout("yuv", 8, 1, 1), "422": PixelLayout("yuv", 8, 1, 0), "444": PixelLayout("yuv", 8)}
"""By the names of `codec_options.Sampling`."""


@dataclass(frozen=True, slots=True)
class Yuv:
    """8-bit limited-range YUV of one `layout`, matrix and chroma siting."""

    layout: PixelLayout = LAYOUTS["420"]
    bt601: bool = True
    siting: Siting = "left"

    @property
    def tags(self) -> ColorTags:
        """What the code values mean."""
        return ColorTags(SMPTE170M if self.bt601 else BT709, False, siting=self.siting)

    def planes(self, frame: Frame) -> tuple[Plane, ...]:
        """A frame as three planes, chroma sizes rounded up."""
        rgb = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float().div_(255)
        convert = FromRGB(self.layout, self.tags, device="cpu", dither=False)
        return tuple(plane[0].numpy() for plane in convert(rgb))

    def frame(self, planes: tuple[Plane, ...]) -> Frame:
        """Three planes as a frame."""
        convert = ToRGB(self.layout, self.tags, device="cpu")
        rgb = convert(tuple(torch.from_numpy(np.ascontiguousarray(plane))[None] for plane in planes))
        return rounded(rgb[0].permute(1, 2, 0).mul(255).numpy())
