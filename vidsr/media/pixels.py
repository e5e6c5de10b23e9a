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
_PALETTES = ("pal8", "rgb8", "bgr8", "rgb4", "bgr4", "rgb4_byte", "bgr4_byte")
_ENDIAN = "le" if sys.byteorder == "little" else "be"


def layout_of(name: str) -> PixelLayout:
    """The layout of pixel format `name`. Raises InputError for formats without one (hardware, Bayer, XYZ, float)."""
    fmt = VideoFormat(name)
    if name in _PALETTES:
        return PixelLayout("rgb", 8)
    if not fmt.components or name.startswith(("bayer", "xyz", "mono")) or "f16" in name or "f32" in name:
        raise InputError(f"pixel format {name} is not supported; allowed are YUV, RGB and gray of 8 to 16 bits")
    deepest = max(component.bits for component in fmt.components)
    depth = next((known for known in _DEPTHS if known >= deepest), 16)
    if fmt.is_rgb:
        return PixelLayout("rgb", depth)
    if len(fmt.components) <= 2:
        return PixelLayout("gray", depth)
    shifts = ((fmt.chroma_width(1 << 4)).bit_length(), (fmt.chroma_height(1 << 4)).bit_length())
    return PixelLayout("yuv", depth, 5 - shifts[0], 5 - shifts[1])


def has_alpha(name: str) -> bool:
    """Whether pixel format `name` can carry transparency."""
    fmt = VideoFormat(name)
    return name == "pal8" or any(component.is_alpha for component in fmt.components)


def format_of(layout: PixelLayout) -> str:
    """The planar pixel format that holds exactly `layout`, in native byte order. Raises KeyError where none exists."""
    suffix = "" if layout.depth == 8 else f"{layout.depth}{_ENDIAN}"
    if layout.family == "gray":
        return f"gray{suffix}"
    if layout.family == "rgb":
        return f"gbrp{suffix}"
    return f"yuv{_SUBSAMPLING[layout.log2_w, layout.log2_h]}p{suffix}"


def _plane_order(layout: PixelLayout) -> tuple[int, ...]:
    """Index of each of our planes among FFmpeg's: planar RGB is stored G B R."""
    return {"rgb": (2, 0, 1), "yuv": (0, 1, 2), "gray": (0,)}[layout.family]


def planes_of(frame: av.VideoFrame, layout: PixelLayout) -> tuple[Plane, ...]:
    """Copies of the planes of `frame`, rearranged into `layout` (and rescaled in depth if it differs)."""
    wanted = format_of(layout)
    if frame.format.name not in _alike(wanted):
        frame = frame.reformat(format=wanted, threads=1)  # with more, libswscale sometimes writes lines that are wrong
    planes = []
    sizes = layout.plane_sizes(frame.width, frame.height)
    for index, (height, width) in zip(_plane_order(layout), sizes, strict=True):
        planes.append(_view(frame.planes[index], layout, height, width).copy())
    return tuple(planes)


def _alike(name: str) -> tuple[str, ...]:
    """Formats that begin with the very planes of `name`: JPEG's name for it, and it with a plane of transparency."""
    return name, name.replace("yuv", "yuvj"), name.replace("yuv", "yuva"), name.replace("gbrp", "gbrap")


def fill_frame(planes: tuple[Plane, ...], layout: PixelLayout, width: int, height: int) -> av.VideoFrame:
    """A new frame of the planar format of `layout` that holds copies of `planes`."""
    frame = av.VideoFrame(width, height, format_of(layout))
    sizes = layout.plane_sizes(width, height)
    for index, plane, (rows, columns) in zip(_plane_order(layout), planes, sizes, strict=True):
        _view(frame.planes[index], layout, rows, columns)[:] = plane
    return frame


def _view(plane: av.video.plane.VideoPlane, layout: PixelLayout, height: int, width: int) -> Plane:
    """The samples of one FFmpeg plane as an H W array without the padding at the end of its lines."""
    samples: Plane = np.frombuffer(memoryview(plane), layout.dtype)
    lines: Plane = samples.reshape(-1, plane.line_size // layout.dtype.itemsize)
    return lines[:height, :width]
