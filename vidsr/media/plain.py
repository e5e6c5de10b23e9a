"""Pictures without a container: YUV4MPEG2, and raw planes one after another.

Y4M after mjpegtools' yuv4mpeg(5) and the tags that FFmpeg, x264, mpv and vspipe read and write.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat

from ..errors import InputError
from ..frames import PixelLayout, Plane, Siting, VideoTraits
from .pipes import Y4M_MAGIC
from .pixels import PALETTES, fill_frame, format_of, layout_of

Y4M, RAW = "yuv4mpegpipe", "rawvideo"
PLAIN = (Y4M, RAW)
"""The containers, in FFmpeg's names, that hold nothing but pictures at a steady rate."""

FORMATS = frozenset[str](av.video.format.names)  # type: ignore[attr-defined]  # PyAV's stubs leave it out
"""FFmpeg's names of all pixel formats."""
FRAME = b"FRAME\n"
"""Comes before each picture of a Y4M."""

_SITINGS: dict[str, Siting] = {"420jpeg": "center", "420mpeg2": "left", "420paldv": "topleft"}
_SAID: dict[Siting | None, str] = {siting: tag for tag, siting in _SITINGS.items()}
_DEPTHS = {"420": (8, 9, 10, 12, 14, 16), "422": (8, 9, 10, 12, 14, 16), "444": (8, 9, 10, 12, 14, 16), "411": (8,)}
"""Depths that FFmpeg reads of each subsampling."""
_NAMES = {(1, 1): "420", (1, 0): "422", (0, 0): "444", (2, 0): "411"}
_GRAY = (8, 9, 10, 12, 16)


@dataclass(frozen=True)
class Header:
    """What the first line of a Y4M says and FFmpeg does not pass on. 0: not said."""

    width: int = 0
    height: int = 0
    frames: int = 0
    """XLENGTH, which vspipe writes."""
    siting: Siting | None = None


def head_of(path: Path) -> bytes:
    """The first bytes of a file; none where it cannot be read, which whoever opens it tells."""
    try:
        with path.open("rb") as file:
            return file.read(1024)
    except (OSError, ValueError):
        return b""


def read_header(head: bytes) -> Header:
    """The header that `head`, the first bytes of an input, begins with; an empty one where that is none of Y4M.

    A bare `C420` says nothing of the siting here: vspipe and x264 write it for all of them.
    """
    if not head.startswith(Y4M_MAGIC):
        return Header()
    words = head.partition(b"\n")[0].decode("ascii", "replace").split(" ")[1:]
    tags = {word[:1]: word[1:] for word in words if not word.startswith("X")}
    length = next((word.removeprefix("XLENGTH=") for word in words if word.startswith("XLENGTH=")), "")
    return Header(
        _number(tags.get("W")), _number(tags.get("H")), _number(length), _SITINGS.get(tags.get("C", "420jpeg"))
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 16 else 0


def header(traits: VideoTraits, rate: Fraction, field_order: int) -> bytes:
    """The first line of a Y4M of `traits`. `field_order` is FFmpeg's: 2 and 4 top field first, 3 and 5 bottom first."""
    order = {2: "t", 4: "t", 3: "b", 5: "b"}.get(field_order, "m") if traits.interlaced else "p"
    aspect, full = traits.sample_aspect, traits.color.full_range
    words = (
        f"W{traits.width}", f"H{traits.height}", f"F{rate.numerator}:{rate.denominator}", f"I{order}",
        f"A{aspect.numerator}:{aspect.denominator}", f"C{_colour_space(traits.layout, traits.color.siting)}",
        f"XCOLORRANGE={'FULL' if full else 'LIMITED'}",
    )  # fmt: skip
    return Y4M_MAGIC + " ".join(words).encode() + b"\n"


def _colour_space(layout: PixelLayout, siting: Siting | None) -> str:
    deep = "" if layout.depth == 8 else str(layout.depth)
    if layout.family == "gray":
        return f"mono{deep}"
    name = _NAMES[layout.log2_w, layout.log2_h]
    if deep:
        return f"{name}p{deep}"  # no tag says the siting of these
    return _SAID.get(siting, name) if name == "420" else name


class Packer:
    """Planes to the bytes of one pixel format, without the padding of lines. The same samples, differently arranged."""

    def __init__(self, layout: PixelLayout, pix_fmt: str, width: int, height: int) -> None:
        self._layout, self._size = layout, (width, height)
        context = CodecContext.create(RAW, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt, context.time_base = width, height, pix_fmt, Fraction(1, 25)
        self._context = context

    def packed(self, planes: tuple[Plane, ...]) -> memoryview:
        """The bytes of one picture."""
        picture = fill_frame(planes, self._layout, *self._size)
        if picture.format.name != self._context.pix_fmt:
            picture = picture.reformat(format=self._context.pix_fmt, threads=1)  # with more it writes over lines
        [packet] = self._context.encode(picture)
        return memoryview(packet)


@cache
def y4m_formats() -> tuple[str, ...]:
    """The pixel formats that a Y4M can hold, in native byte order."""
    sides = {name: side for side, name in _NAMES.items()}
    yuv = [PixelLayout("yuv", depth, *sides[name]) for name, depths in _DEPTHS.items() for depth in depths]
    return tuple(format_of(layout) for layout in (*yuv, *(PixelLayout("gray", depth) for depth in _GRAY)))


@cache
def raw_formats() -> tuple[str, ...]:
    """The pixel formats that raw output can have: all whose samples are those of a layout."""
    return tuple(name for name in sorted(FORMATS) if _is_exact(name))


def _is_exact(name: str) -> bool:
    try:
        layout = layout_of(name)
    except InputError:
        return False
    bits = {component.bits for component in VideoFormat(name).components}
    return bits == {layout.depth} and name not in PALETTES and not name.startswith("yuvj") and _is_made(name, layout)


def _is_made(name: str, layout: PixelLayout) -> bool:
    """Whether libswscale can rearrange planes so: it reads more formats than it writes.

    RGB with its bits on top it makes with an error of one code here and there (FFmpeg 8).
    """
    try:
        av.VideoFrame(16, 16, format_of(layout)).reformat(format=name, threads=1)
    except (av.error.FFmpegError, ValueError):
        return False
    return not (name.startswith("gbr") and "msb" in name)
