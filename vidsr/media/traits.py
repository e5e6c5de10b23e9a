"""What holds for every frame of a stream, read off its first decoded frame."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.stream import VideoStream

from ..frames import ColorTags, HdrStatic, Orientation, VideoTraits
from .alpha_streams import is_beside
from .pixels import has_alpha, layout_of


def traits_of(frame: av.VideoFrame, video: VideoStream) -> VideoTraits:
    """What holds for the whole stream, from its first decoded frame. Raises InputError for an unusable format."""
    side = {item.type.name: bytes(item) for item in frame.side_data}  # type: ignore[attr-defined,arg-type]  # PyAV's stubs say str
    return VideoTraits(
        width=frame.width,
        height=frame.height,
        layout=layout_of(frame.format.name),
        color=color_of(frame),
        time_base=Fraction(frame.time_base or video.time_base or Fraction(1, 1000)),
        rate=Fraction(video.average_rate) if video.average_rate else None,
        sample_aspect=Fraction(video.sample_aspect_ratio or 1),
        orientation=orientation_of(side.get("DISPLAYMATRIX", b"")),
        interlaced=frame.interlaced_frame,
        alpha=has_alpha(frame.format.name) or is_beside(video),
        hdr=hdr_of(side),
    )


def color_of(frame: av.VideoFrame) -> ColorTags:
    """The colour tags of a frame. PyAV does not tell the chroma location."""
    full = True if frame.format.name.startswith("yuvj") else {1: False, 2: True}.get(int(frame.color_range))
    return ColorTags(
        matrix=int(frame.colorspace),
        full_range=full,
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


def orientation_of(matrix: bytes) -> Orientation:
    """The orientation that a display matrix (nine 32-bit integers, row by row) asks for, to a quarter turn."""
    if len(matrix) != 36:
        return Orientation()
    a, b, _, c, d = (int.from_bytes(matrix[4 * i : 4 * i + 4], "little", signed=True) for i in range(5))
    mirror = a * d - b * c < 0
    x, y = (-a, -b) if mirror else (a, b)  # where the x axis goes once the mirroring is undone
    turns = (0 if x > 0 else 2) if abs(x) >= abs(y) else (1 if y > 0 else 3)
    return Orientation(turns, mirror)


def hdr_of(side: dict[str, bytes]) -> HdrStatic | None:
    """HDR10 static metadata from FFmpeg's AVMasteringDisplayMetadata and AVContentLightMetadata."""
    mastering, light = side.get("MASTERING_DISPLAY_METADATA", b""), side.get("CONTENT_LIGHT_LEVEL", b"")
    if len(mastering) < 88 and len(light) < 8:
        return None
    ints = [int.from_bytes(mastering[i : i + 4], "little", signed=True) for i in range(0, len(mastering), 4)]
    pairs = [Fraction(num, den or 1) for num, den in zip(ints[0:20:2], ints[1:20:2], strict=True)]
    known = ints[20:22] if ints else [0, 0]
    levels = [int.from_bytes(light[i : i + 4], "little") for i in (0, 4)] if len(light) >= 8 else [0, 0]
    return HdrStatic(
        chromaticities=tuple(zip(pairs[0:8:2], pairs[1:8:2], strict=True)) if known[0] else (),
        luminance=(pairs[8], pairs[9]) if known[1] else None,
        max_cll=levels[0],
        max_fall=levels[1],
    )


_UNKEPT = {
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "A53_CC": "closed captions inside the picture",
    "STEREO3D": "stereo 3D layout",
    "SPHERICAL": "360-degree projection",
}


def unkept(frame: av.VideoFrame) -> list[str]:
    """What rides on a frame and has no way through an encoder of PyAV, in words."""
    found = {item.type.name for item in frame.side_data}  # type: ignore[attr-defined]  # PyAV's stubs say str
    return sorted({words for name, words in _UNKEPT.items() if name in found})
