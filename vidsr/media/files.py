"""What an output of numbered pictures is called where others have the name of a container, and what it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..errors import UsageError
from ..events import Notice
from ..frames import PixelLayout, VideoTraits
from .animations import ANIMATIONS, GIF
from .color import primaries_name, transfer_name
from .image_formats import EXR, FORMATS, Format

KINDS: dict[str, Format] = {f"{kind.name} files": kind for kind in FORMATS.values()}
"""By the name that stands for the container."""


def files_of(path: Path) -> str:
    """The name that stands for the container of pictures that end as `path` does."""
    return f"{FORMATS[path.suffix.lower()].name} files"


def depth_of(kind: Format) -> int:
    """The most bits a sample that pictures of a film get: linear light is made of codes of 16."""
    return 8 if kind.dtypes == ("uint8",) else 16


def layouts(kind: Format) -> tuple[PixelLayout, ...]:
    """The layouts that pictures of a film may have, colours before gray, without alpha before those with it."""
    depths = [depth for name, depth in (("uint8", 8), ("uint16", 16)) if name in kind.dtypes] or [16]
    able = [channels for channels in _FAMILIES if channels in kind.channels]
    return tuple(PixelLayout(_FAMILIES[n], depth, alpha=n % 2 == 0) for n in able for depth in depths)


_FAMILIES: dict[int, Literal["rgb", "gray"]] = {3: "rgb", 1: "gray", 4: "rgb", 2: "gray"}
"""By number of channels."""

_SDR = {1, 4, 5, 6, 7, 13, 14, 15}
"""Transfers that pictures are shown with near enough: those of video and of sRGB."""
_HDR = {16, 18}
_FASTEST = 51
"""Pictures a second on average, from which on some are surely shown for less than GIF can."""


def as_pictures(traits: VideoTraits, container: str) -> tuple[VideoTraits, list[Notice]]:
    """The `traits` of an output as picture files have them, whose samples are of full range; and what they cannot say.

    Raises UsageError for EXR of a film whose codes are no light that EXR knows of.
    """
    if container in ANIMATIONS:
        return _animated(traits, container)
    if container not in KINDS:
        return traits, []
    transfer, primaries = traits.color.transfer, traits.color.primaries
    if KINDS[container] is EXR and transfer in _HDR:
        what = f"output: the codes of {transfer_name(transfer)} are not made linear, which EXR holds"
        raise UsageError(what, "write .png or .tif, of 16 bits")
    unsaid = [] if transfer in _SDR else [transfer_name(transfer)]
    unsaid += [] if primaries in (1, 2, 5, 6, 7) else [primaries_name(primaries)]
    text = f"the pictures do not say that their colours are {' and '.join(unsaid)}; programs take them for sRGB"
    return _full(traits), [Notice(text, "warning")] if unsaid else []


def _full(traits: VideoTraits) -> VideoTraits:
    return replace(traits, color=replace(traits.color, full_range=True))


def _animated(traits: VideoTraits, container: str) -> tuple[VideoTraits, list[Notice]]:
    if container == GIF and (traits.rate or 0) > _FASTEST:
        what = f"output: players show at most 50 pictures a second of a GIF, the input has {float(traits.rate or 0):g}"
        raise UsageError(what, "write .apng, or another container")
    return _full(traits), []
