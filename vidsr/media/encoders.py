"""The video encoders: their names, their defaults, and which one to take.

Each encoder calls the same things differently. `Encoder` holds those words; `encoder_options.py` puts them together.
Quality defaults are for upscaled pictures, which are sharp and free of noise: a little better than FFmpeg's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import av
from av.codec import Codec as LibavCodec
from av.packet import Packet

from ..errors import InputError, UsageError, near_miss
from ..frames import PixelLayout
from ..options import Codec
from .animations import APNG, GIF
from .containers import holds, spoken
from .files import KINDS, depth_of, layouts
from .image_formats import Format
from .palette import FORMAT as PALETTE
from .pixels import PALETTES, format_of, has_alpha, layout_of
from .plain import RAW, Y4M, raw_formats, y4m_formats

_X26X = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_NVENC = tuple(f"p{n}" for n in range(1, 8))
_QSV = ("veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_AMF = ("speed", "balanced", "quality")
_PRORES = ("auto", "proxy", "lt", "standard", "hq", "4444", "4444xq")


@dataclass(frozen=True, slots=True)
class Encoder:
    """One encoder in its own words.

    `quality_key` is the option that takes --crf, `quality_range` what it allows, `quality` our default.
    `preset_key`, `presets` and `preset` are the same for --encoder-preset. `fixed` are options that are always set.
    `max_depth` is the deepest the encoder really codes, whatever formats it takes. `even` says that the sides must be
    multiples of the chroma subsampling; `least` is the smallest side. `alpha` says that it codes transparency in the
    formats that have it, instead of passing over it.
    """

    name: str
    libav: str
    quality_key: str | None = None
    quality: float = 0
    quality_range: tuple[int, int] = (0, 51)
    preset_key: str | None = None
    preset: str = ""
    presets: tuple[str, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    params_key: str | None = None
    max_depth: int = 16
    even: bool = False
    least: int = 1
    lossless: bool = False
    alpha: bool = False

    @property
    def codec(self) -> str:
        """FFmpeg's name of the coded format, such as h264, hevc or prores."""
        return LibavCodec(self.libav, "w").canonical_name

    def fits(self, container: str) -> bool:
        """Whether `container` can hold what this encoder makes."""
        return holds(container, self.codec, self.libav)


def _nvenc(name: str) -> Encoder:
    fixed = (("rc", "vbr"), ("b", "0"), ("tune", "hq"))
    return Encoder(name, name.replace("-", "_"), "cq", 19, (0, 51), "preset", "p5", _NVENC, fixed, None, 10, True, 2)


def _qsv(name: str) -> Encoder:
    return Encoder(
        name, name.replace("-", "_"), "global_quality", 19, (1, 51), "preset", "slow", _QSV, (), None, 12, True, 2
    )


def _amf(name: str) -> Encoder:
    libav, fixed = name.replace("-", "_"), (("rc", "qvbr"),)
    return Encoder(name, libav, "qvbr_quality_level", 19, (1, 51), "quality", "quality", _AMF, fixed, None, 10, True, 2)


_SVT_PRESETS = tuple(str(n) for n in range(14))
_VP9_SPEEDS = tuple(str(n) for n in range(9))
_VP9_FIXED = (("b", "0"), ("deadline", "good"), ("row-mt", "1"))
_FFV1_FIXED = (("level", "3"), ("slicecrc", "1"), ("g", "1"))
_ALL = (
    Encoder("x264", "libx264", "crf", 17, (0, 51), "preset", "medium", _X26X, (), "x264-params", 10, True),
    Encoder("x265", "libx265", "crf", 19, (0, 51), "preset", "medium", _X26X, (), "x265-params", 12, True, 16),
    Encoder("svt-av1", "libsvtav1", "crf", 22, (0, 63), "preset", "6", _SVT_PRESETS, (), "svtav1-params", 10, least=4),
    Encoder("vp9", "libvpx-vp9", "crf", 22, (0, 63), "cpu-used", "2", _VP9_SPEEDS, _VP9_FIXED, None, 12, alpha=True),
    Encoder("ffv1", "ffv1", fixed=_FFV1_FIXED, lossless=True, alpha=True),
    Encoder("prores", "prores_ks", None, 0, (0, 0), "profile", "auto", _PRORES, (("vendor", "apl0"),), alpha=True),
    Encoder("png", "png", lossless=True, alpha=True),
    Encoder("qtrle", "qtrle", lossless=True, alpha=True),
    Encoder("utvideo", "utvideo", lossless=True, alpha=True),
    *map(_nvenc, ("h264-nvenc", "hevc-nvenc", "av1-nvenc")),
    *map(_qsv, ("h264-qsv", "hevc-qsv", "av1-qsv")),
    *map(_amf, ("h264-amf", "hevc-amf", "av1-amf")),
)
ENCODERS: dict[str, Encoder] = {encoder.name: encoder for encoder in _ALL}
"""All encoders by the names of `options.Codec`."""

_DEFAULTS = {"webm": "vp9"}
_NO_ALPHA = {"libvpx-vp9": ("yuva422p", "yuva444p", "gbrap")}
"""Formats with transparency that an encoder lists and then refuses."""


def _pictures(kind: Format) -> Encoder:
    alpha = any(layout.alpha for layout in layouts(kind))
    return Encoder(kind.name, "rawvideo", max_depth=depth_of(kind), lossless=True, alpha=alpha)


_PLAIN = {
    Y4M: Encoder("y4m", "rawvideo", lossless=True),
    RAW: Encoder("raw planes", "rawvideo", lossless=True, alpha=True),
    **{name: _pictures(kind) for name, kind in KINDS.items()},
}
"""What stands in the place of an encoder where pictures leave as they are."""

_OWN = {
    GIF: Encoder("gif", "gif", max_depth=8),
    APNG: Encoder("apng", "apng", fixed=(("pred", "mixed"),), lossless=True, alpha=True),
}
"""Containers of one encoder."""


@cache
def available(name: str) -> bool:
    """Whether this build of FFmpeg has encoder `name`; for hardware this says nothing about the machine."""
    return ENCODERS[name].libav in av.codecs_available and _can_encode(ENCODERS[name].libav)


def _can_encode(libav: str) -> bool:
    try:
        return LibavCodec(libav, "w").is_encoder
    except ValueError:
        return False


def choose(codec: str | None, container: str) -> Encoder:
    """The encoder for --codec `codec`, or the default of `container` (x264; vp9 for webm) when it is None.

    Raises UsageError when it is unknown, missing in this FFmpeg, or makes what `container` cannot hold.
    """
    if container in _PLAIN:
        if codec is not None:
            raise UsageError(f"--codec: {spoken(container)} holds pictures that are not coded", "leave out --codec")
        return _PLAIN[container]
    if container in _OWN:
        if codec is not None:
            raise UsageError(f"--codec: {spoken(container)} holds one kind of pictures only", "leave out --codec")
        return _OWN[container]
    name = codec or _DEFAULTS.get(container, "x264")
    if name not in ENCODERS:
        known = list(get_args(Codec))
        raise UsageError(f"--codec: {name!r} is no encoder{near_miss(name, known)}", f"allowed are {', '.join(known)}")
    fitting = [other for other in ENCODERS if available(other) and ENCODERS[other].fits(container)]
    if not available(name):
        raise UsageError(f"--codec: {name} is not in this build of FFmpeg", f"possible here are {', '.join(fitting)}")
    if name not in fitting:
        what = f"--codec: {spoken(container)} cannot hold what {name} makes"
        raise UsageError(what, f"possible are {', '.join(fitting)}, or {name} in another container such as mkv")
    return ENCODERS[name]


@cache
def formats(encoder: Encoder) -> dict[str, PixelLayout]:
    """The pixel formats that `encoder` takes from memory, and the layout it codes them in."""
    if encoder is _OWN[GIF]:
        return {PALETTE: layout_of(PALETTE)}
    found: dict[str, PixelLayout] = {}
    for name in _taken(encoder):
        try:
            layout = layout_of(name)
        except InputError:
            continue  # a surface of the device, or float
        if not _is_reduced(name, encoder) and layout.depth <= encoder.max_depth:
            found[name] = layout
    return found


def _is_reduced(name: str, encoder: Encoder) -> bool:
    """Whether `encoder` would make less of format `name` than its layout says, or is told of the same by another."""
    lost = has_alpha(name) and (not encoder.alpha or name in _NO_ALPHA.get(encoder.libav, ()))
    return lost or name.startswith("yuvj") or name in PALETTES or "555" in name


def _taken(encoder: Encoder) -> Iterable[str]:
    """Names of the pixel formats that `encoder` says it takes; FFmpeg's `rawvideo` says nothing and takes them all."""
    if encoder.libav == "rawvideo":
        files = {_PLAIN[name]: kind for name, kind in KINDS.items()}
        if encoder in files:
            return map(format_of, layouts(files[encoder]))
        return y4m_formats() if encoder is _PLAIN[Y4M] else raw_formats()
    return (fmt.name for fmt in LibavCodec(encoder.libav, "w").video_formats or ())


def output_format(
    encoder: Encoder, source: PixelLayout, asked: str | None = None
) -> tuple[str, PixelLayout, tuple[str, ...]]:
    """The pixel format to encode in, its layout, and what is lost by it, in sentences.

    When none is `asked` for, it is the nearest that the encoder has: with alpha or without it as `source`, the same
    family, at least the depth and the chroma resolution. RGB stays RGB only where that is lossless; else it becomes YUV
    4:2:0, as players expect. The frame handed to the encoder is planar (`format_of` of the layout); where the encoder
    wants it packed, libswscale rearranges it without loss. Raises UsageError for a format that the encoder has not.
    """
    if asked is not None:
        return _asked_format(encoder, asked)
    has_gray = any(layout.family == "gray" for layout in formats(encoder).values())
    becomes_yuv = (source.family == "rgb" and not encoder.lossless) or (source.family == "gray" and not has_gray)
    wanted = PixelLayout("yuv", source.depth, 1, 1, source.alpha) if becomes_yuv else source
    name = min(formats(encoder), key=lambda name: _distance(name, formats(encoder)[name], wanted))
    layout = formats(encoder)[name]
    return name, layout, _losses(encoder, source, layout)


def _asked_format(encoder: Encoder, asked: str) -> tuple[str, PixelLayout, tuple[str, ...]]:
    has = formats(encoder)
    name = asked if asked in has else f"{asked}le"
    if name not in has:
        what = f"--pix-fmt: {encoder.name} does not take {asked!r}{near_miss(asked, list(has))}"
        raise UsageError(what, f"allowed are {', '.join(has)}")
    return name, has[name], ()


def _distance(name: str, layout: PixelLayout, wanted: PixelLayout) -> tuple[int, ...]:
    """How far a format is from the wanted one: what is lost first, then what is wasted, then planar before packed."""
    coarser = max(0, layout.log2_w - wanted.log2_w) + max(0, layout.log2_h - wanted.log2_h)
    finer = max(0, wanted.log2_w - layout.log2_w) + max(0, wanted.log2_h - layout.log2_h)
    return (
        layout.alpha != wanted.alpha,
        layout.family == "gray" != wanted.family,
        layout.family != wanted.family,
        max(0, wanted.depth - layout.depth),
        coarser,
        max(0, layout.depth - wanted.depth),
        finer,
        _packed(name, layout),
    )


def _packed(name: str, layout: PixelLayout) -> bool:
    return name != format_of(layout)


def _losses(encoder: Encoder, source: PixelLayout, layout: PixelLayout) -> tuple[str, ...]:
    notes = []
    if layout.family != source.family and source.family == "rgb":
        notes.append(f"the RGB input is coded as YUV by {encoder.name}; ffv1 keeps RGB")
    if layout.depth < source.depth:
        notes.append(f"{source.depth} bits per sample become {layout.depth}, the most that {encoder.name} has")
    if is_coarser(layout, source):
        notes.append(f"{encoder.name} has no chroma as fine as the input's; it is coded as {format_of(layout)}")
    return tuple(notes)


def is_coarser(layout: PixelLayout, source: PixelLayout) -> bool:
    """Whether `layout` has less chroma than `source`."""
    return source.family == "yuv" and (layout.log2_w > source.log2_w or layout.log2_h > source.log2_h)


def size_rule(encoder: Encoder, layout: PixelLayout) -> tuple[int, int, int]:
    """(multiple of the width, multiple of the height, smallest side) that `encoder` takes in `layout`.

    Measured over sizes 1 to 19 of every software encoder of the PyAV 18.1 wheel: x264 and x265 want full chroma
    samples, x265 at least 16 and SVT-AV1 at least 4 pixels a side; vp9, ffv1 and ProRes take every size.
    """
    if not encoder.even:
        return 1, 1, encoder.least
    return 1 << layout.log2_w, 1 << layout.log2_h, encoder.least


def keeps_aspect(encoder: Encoder, container: str) -> bool:
    """Whether a sample aspect ratio other than 1 reaches the reader of the file.

    H.264 and HEVC carry it in their headers. For the others the container must, and PyAV tells it to MP4 and MOV but
    not to Matroska (which takes it from a field of the stream that PyAV does not set).
    """
    return encoder.codec in ("h264", "hevc") or container in ("mp4", "mov", Y4M)


def settle_short(packets: list[Packet[Any]]) -> list[Packet[Any]]:
    """All packets of a clip of one or two frames, with decoding times that hold.

    x265 takes those times from memory it never wrote when there are fewer frames than it reorders (seen with x265 4.2:
    some clips of one or two frames begin at -2**46, which MP4 refuses). So few frames are coded in order of time.
    """
    if len(packets) <= 2:
        for packet in packets:
            packet.dts = packet.pts
    return packets
