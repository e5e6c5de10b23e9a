"""Between FFmpeg's pixel formats and our planes.

FFmpeg has some 260 pixel formats. Each that holds YUV, RGB or gray has a planar twin with the same components, depth
and subsampling; packed, semi-planar, big-endian and palette formats are first rearranged into theirs by libswscale,
which changes no value. Everything else in vidsr knows only `PixelLayout`.
"""

from __future__ import annotations

import sys

import av
import numpy as np
from av.video.format import VideoFormat

from ..errors import InputError
from ..frames import PixelLayout, Plane

_SUBSAMPLING = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (0, 1): "440", (2, 0): "411", (2, 2): "410"}
_DEPTHS = (8, 9, 10, 12, 14, 16)
PALETTES = ("pal8", "rgb8", "bgr8", "rgb4", "bgr4", "rgb4_byte", "bgr4_byte")
"""Formats of a few colours, to which a picture would have to be reduced."""
_ENDIAN = "le" if sys.byteorder == "little" else "be"


def layout_of(name: str) -> PixelLayout:
    """The layout of pixel format `name`. Raises InputError for formats without one (hardware, Bayer, XYZ, float)."""
    fmt = VideoFormat(name)
    if name in PALETTES:
        return PixelLayout("rgb", 8, alpha=has_alpha(name))
    if not fmt.components or name.startswith(("bayer", "xyz", "mono")) or "f16" in name or "f32" in name:
        raise InputError(f"pixel format {name} is not supported; allowed are YUV, RGB and gray of 8 to 16 bits")
    deepest = max(component.bits for component in fmt.components)
    depth = next((known for known in _DEPTHS if known >= deepest), 16)
    if fmt.is_rgb:
        return PixelLayout("rgb", depth, alpha=has_alpha(name))
    if len(fmt.components) <= 2:
        return PixelLayout("gray", depth, alpha=has_alpha(name))
    shifts = ((fmt.chroma_width(1 << 4)).bit_length(), (fmt.chroma_height(1 << 4)).bit_length())
    return PixelLayout("yuv", depth, 5 - shifts[0], 5 - shifts[1], has_alpha(name))


def has_alpha(name: str) -> bool:
    """Whether pixel format `name` can carry transparency."""
    fmt = VideoFormat(name)
    return name == "pal8" or any(component.is_alpha for component in fmt.components)


def format_of(layout: PixelLayout) -> str:
    """The planar pixel format that holds exactly `layout`, in native byte order; gray and alpha, of which there is none
    that is planar, lie side by side. Raises KeyError where none exists.
    """
    suffix, alpha = "" if layout.depth == 8 else f"{layout.depth}{_ENDIAN}", "a" if layout.alpha else ""
    if layout.family == "gray":
        return f"ya{layout.depth}{suffix and _ENDIAN}" if alpha else f"gray{suffix}"
    if layout.family == "rgb":
        return f"gbr{alpha}p{suffix}"
    return f"yuv{alpha}{_SUBSAMPLING[layout.log2_w, layout.log2_h]}p{suffix}"


def planes_of(frame: av.VideoFrame, layout: PixelLayout) -> tuple[Plane, ...]:
    """Copies of the planes of `frame`, rearranged into `layout` (and rescaled in depth if it differs)."""
    if layout.alpha and not has_alpha(frame.format.name):
        opaque = np.full((frame.height, frame.width), layout.peak, layout.dtype)
        return (*planes_of(frame, layout.colours), opaque)
    wanted = format_of(layout)
    if frame.format.name not in _alike(wanted):
        frame = frame.reformat(format=wanted, threads=1)  # with more, libswscale sometimes writes lines that are wrong
    return tuple(view.copy() for view in _views(frame, layout))


def _alike(name: str) -> tuple[str, ...]:
    """Formats that begin with the very planes of `name`: JPEG's name for it, and it with a plane of transparency."""
    return name, name.replace("yuv", "yuvj"), name.replace("yuv", "yuva"), name.replace("gbrp", "gbrap")


def fill_frame(planes: tuple[Plane, ...], layout: PixelLayout, width: int, height: int) -> av.VideoFrame:
    """A new frame of the planar format of `layout` that holds copies of `planes`."""
    frame = av.VideoFrame(width, height, format_of(layout))
    for view, plane in zip(_views(frame, layout), planes, strict=True):
        view[:] = plane
    return frame


def _views(frame: av.VideoFrame, layout: PixelLayout) -> list[Plane]:
    """Our planes as parts of those of `frame`, of the planar format of `layout`: planar RGB is stored G B R."""
    sizes = layout.plane_sizes(frame.width, frame.height)
    if layout.family == "gray" and layout.alpha:
        both = _view(frame.planes[0], layout, frame.height, 2 * frame.width)
        return [both[:, 0::2], both[:, 1::2]]
    order = {"rgb": (2, 0, 1, 3), "yuv": (0, 1, 2, 3), "gray": (0,)}[layout.family]
    return [_view(frame.planes[index], layout, *size) for index, size in zip(order, sizes, strict=False)]


def _view(plane: av.video.plane.VideoPlane, layout: PixelLayout, height: int, width: int) -> Plane:
    """The samples of one FFmpeg plane as an H W array without the padding at the end of its lines."""
    samples: Plane = np.frombuffer(memoryview(plane), layout.dtype)
    lines: Plane = samples.reshape(-1, plane.line_size // layout.dtype.itemsize)
    return lines[:height, :width]
