"""--in-format and --out-format: what a stream holds where neither its bytes nor its name say it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import InputError, UsageError, near_miss
from .animations import ANIMATIONS
from .containers import container_name
from .pipes import is_stdout, is_stream
from .pixels import layout_of
from .plain import FORMATS, RAW, Y4M, raw_formats


def pixel_format(name: str) -> str | None:
    """FFmpeg's full name of a pixel format, such as yuv420p10le for yuv420p10; None for what is none."""
    native = f"{name}{'le' if sys.byteorder == 'little' else 'be'}"
    return next((known for known in (name, native) if known in FORMATS), None)


_DEMUXERS = {"y4m": Y4M, "mkv": "matroska", "webm": "matroska", "ts": "mpegts", "m2ts": "mpegts", "mp4": "mov"}


@dataclass(frozen=True)
class Form:
    """How an input is to be read, where its bytes do not say it."""

    demuxer: str
    size: tuple[int, int] | None = None
    rate: Fraction | None = None
    """Frames per second of raw planes."""
    pix_fmt: str = ""

    def words(self) -> dict[str, str]:
        """The options of the demuxer."""
        if self.size is None:
            return {}
        width, height = self.size
        return {"pixel_format": self.pix_fmt, "video_size": f"{width}x{height}", "framerate": str(self.rate)}


def form_of(name: str | None, size: str | None, rate: str | None, demuxers: Iterable[str]) -> Form | None:
    """The form that --in-format, --in-size and --in-rate ask for; None where they were not given.

    `demuxers` are FFmpeg's names of the containers that may be read. Raises UsageError.
    """
    if name is None:
        if rate is not None:
            raise UsageError("--in-rate: only raw planes and numbered pictures need it", "leave it out, or --in-format")
        return None
    pixels = pixel_format(name)
    if pixels is not None:
        return _raw(name, pixels, size, rate)
    if size is not None or rate is not None:
        raise UsageError(f"--in-size and --in-rate: only raw planes need them, and {name!r} is no pixel format")
    wanted = _DEMUXERS.get(name, name)
    for known in demuxers:
        if wanted in known.split(",") and wanted != RAW:
            return Form(known.split(",")[0])
    raw = "give a pixel format such as yuv420p or rgb24 for raw planes, or a container such as y4m, mkv, ts or nut"
    miss = near_miss(name, [*FORMATS, *_DEMUXERS, *demuxers])
    raise UsageError(f"--in-format: {name!r} is neither a pixel format nor a container that is read{miss}", raw)


def _raw(name: str, pixels: str, size: str | None, rate: str | None) -> Form:
    if size is None or rate is None:
        what = "--in-size" if size is None else "--in-rate"
        raise UsageError(f"--in-format {name}: raw planes say nothing of themselves, {what} is needed")
    try:
        layout_of(pixels)
    except InputError as error:
        raise UsageError(f"--in-format: {error}") from error
    width, height = map(int, size.split("x"))
    return Form(RAW, (width, height), Fraction(rate), pixels)


_MUXERS = {
    "y4m": Y4M, "mkv": "matroska", "matroska": "matroska", "webm": "webm", "ts": "mpegts", "mpegts": "mpegts",
    "nut": "nut", "mp4": "mp4", "mov": "mov",
}  # fmt: skip
"""What --out-format may name besides pixel formats: muxers that need not go back in what they wrote."""
DEFAULT = "matroska"
"""The container of stdout when none is named."""


@dataclass(frozen=True)
class Outlet:
    """The container that is written, in FFmpeg's name, and its pixel format where that is the format."""

    container: str
    pix_fmt: str | None = None


def outlet_of(output: Path, named: str | None, container: str | None, pix_fmt: str | None) -> Outlet:
    """The outlet that --out-format `named`, --container and --pix-fmt ask for, else the one of the name `output`.

    Raises UsageError.
    """
    if named is None:
        own = container if is_stdout(output) else None
        name = container_name(own or DEFAULT) if is_stdout(output) else container_name(output)
        if name in ANIMATIONS and is_stream(output):
            what = f"output {output}: an animation is finished at its beginning, and a pipe cannot go back there"
            raise UsageError(what, "write to a file")
        return Outlet(name, pix_fmt)
    if named in _MUXERS:
        return Outlet(_MUXERS[named], pix_fmt)
    pixels = pixel_format(named)
    if pixels not in raw_formats():
        miss = near_miss(named, [*_MUXERS, *raw_formats()])
        what = f"--out-format: {named!r} is neither a container that can be streamed nor raw planes{miss}"
        raise UsageError(what, f"allowed are {', '.join(_MUXERS)}, and pixel formats such as rgb24 or yuv420p10le")
    if pix_fmt is not None and pixel_format(pix_fmt) != pixels:
        raise UsageError(f"--out-format {named} and --pix-fmt {pix_fmt} contradict each other", "leave out --pix-fmt")
    return Outlet(RAW, pixels)
