"""How pictures are coded, with their transparency where that can be; what is said where it cannot.

Tried by writing files and reading them again (PyAV 18.1, FFmpeg 8): the x265 of its wheel takes no transparency, the
VP9 of libvpx takes it in 4:2:0 of 8 bits only and beside the picture, ProRes as 16 bits whatever its samples have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import UsageError
from ..events import Notice
from ..frames import PixelLayout
from .containers import spoken
from .encoders import ENCODERS, Encoder, available, choose, formats, is_coarser, output_format

_USUAL = {"webm": ("vp9",), "matroska": ("vp9", "ffv1"), "mov": ("prores",), "avi": ("ffv1",), "nut": ("ffv1",)}
"""The encoders to take by container; a later one where the one before has not the depth or the chroma."""


@dataclass(frozen=True, slots=True)
class Coding:
    """The encoder, the pixel format it gets, the layout of that, and what should be known of them."""

    encoder: Encoder
    pix_fmt: str
    layout: PixelLayout
    notes: tuple[Notice, ...]


def choose_coding(source: PixelLayout, codec: str | None, container: str, asked: str | None = None) -> Coding:
    """The coding of pictures of `source` in `container` by --codec `codec`, in the pixel format `asked` for if any.

    Where no codec is asked for, it is one that keeps transparency, if there is some and `container` has a usual one.
    Raises UsageError for what is unknown or not possible.
    """
    encoder = choose(codec or (_usual(source, container) if source.alpha else None), container)
    able = keeps_alpha(encoder, container)
    pix_fmt, layout, said = output_format(encoder, replace(source, alpha=source.alpha and able), asked)
    if layout.alpha and not able:
        what = f"--pix-fmt: {spoken(container)} cannot hold the transparency of {encoder.name}'s {pix_fmt}"
        raise UsageError(what, "vp9 keeps it in webm and mkv")
    return Coding(encoder, pix_fmt, layout, (*map(Notice, said), *_fate(source, codec, container, encoder, layout)))


def _usual(source: PixelLayout, container: str) -> str | None:
    """The first of the container's encoders for transparency that has the depth and the chroma of `source`."""
    names = [name for name in _USUAL.get(container, ()) if available(name)]
    found = [(name, output_format(ENCODERS[name], source)[1]) for name in names]
    able = [name for name, layout in found if layout.depth >= source.depth and not is_coarser(layout, source)]
    return next(iter(able or names[-1:]), None)


def keeps_alpha(encoder: Encoder, container: str) -> bool:
    """Whether transparency reaches the reader of the file: that of VP9 lies beside the pictures, where only Matroska
    and WebM have room.
    """
    able = any(layout.alpha for layout in formats(encoder).values())
    return able and (encoder.name != "vp9" or container in ("matroska", "webm"))


def _fate(
    source: PixelLayout, codec: str | None, container: str, encoder: Encoder, layout: PixelLayout
) -> list[Notice]:
    """What becomes of the transparency of `source`, where that is not what anyone would expect."""
    if not source.alpha:
        return []
    if not layout.alpha:
        return [Notice(f"the transparency of the input is dropped: {_why(encoder, container)}", "warning")]
    usual = choose(codec, container)
    if usual is encoder:
        return []
    what = f"{encoder.name} takes the place of {usual.name}, which cannot hold the transparency"
    return [Notice(f"{what}; --alpha drop leaves that out")]


def _why(encoder: Encoder, container: str) -> str:
    if keeps_alpha(encoder, container):
        return "the pixel format asked for has none"
    others = (other for name, other in ENCODERS.items() if available(name) and other.fits(container))
    able = [other.name for other in others if keeps_alpha(other, container)]
    ways = f"--codec {' or '.join(able)} keeps it" if able else "an output in webm, mkv or mov keeps it"
    return f"{encoder.name} in {spoken(container)} cannot hold it, {ways}"
