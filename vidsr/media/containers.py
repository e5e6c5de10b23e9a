"""What each container can hold, in FFmpeg's names.

Most of it is what `avformat_query_codec` answers. What it answers wrongly, and the MPEG transport stream, about which
it answers nothing, stands here; each entry was tried by writing a file (PyAV 18.1, FFmpeg 8).
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import av

from ..errors import UsageError, near_miss
from .animations import APNG, GIF
from .files import KINDS, files_of
from .sequences import numbering_of

KEPT = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts"}
"""Endings of inputs that the output keeps; all others become Matroska, which holds what they hold and more."""

_MUXERS = {
    "mp4": "mp4", "m4v": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm", "avi": "avi", "nut": "nut",
    "flv": "flv", "ts": "mpegts", "m2ts": "mpegts", "mts": "mpegts", "y4m": "yuv4mpegpipe",
    "gif": GIF, "apng": APNG,
}  # fmt: skip
"""Muxer by file name extension."""

_REFUSED = {
    "mov": {"opus", "flac", "av1", "vp8", "vp9"},  # the header is refused: 'only supported in MP4'
    "flv": {"pcm_s16le", "pcm_mulaw", "pcm_alaw"},
    "mp4": {"truehd"},  # experimental in FFmpeg, refused without -strict
}
"""Codecs that the query allows and the muxer then refuses."""

_MPEGTS = {
    "h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "aac", "aac_latm", "mp2", "mp3", "ac3", "eac3", "dts", "opus",
    "truehd", "dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "klv", "timed_id3", "smpte_2038", "scte_35",
}  # fmt: skip

_COVERS = {"mp4": {"png", "mjpeg", "bmp"}, "matroska": {"png", "mjpeg"}}
"""Picture codecs that can be cover art. Matroska keeps it as an attached file; MOV takes it and writes nothing."""

_CHAPTERS = {"mp4", "mov", "matroska", "webm", "nut"}
_TEXT_TARGET = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
TEXT_SUBTITLES = {"subrip", "ass", "webvtt", "mov_text", "text", "microdvd", "sami", "subviewer", "jacosub", "realtext"}


def container_name(name: str | Path) -> str:
    """FFmpeg's muxer name for a file name or an extension: `out.mkv` and `mkv` are matroska.

    Raises UsageError for an extension without a container that vidsr writes.
    """
    text = str(name)
    if text in _MUXERS.values():
        return text
    if numbering_of(Path(text)) is not None:
        return files_of(Path(text))
    extension = Path(text).suffix[1:].lower() or text.lower()
    if extension not in _MUXERS:
        allowed = ", ".join(_MUXERS)
        raise UsageError(
            f"output {text}: the extension {extension!r} names no container{near_miss(extension, list(_MUXERS))}",
            f"allowed are {allowed}",
        )
    return _MUXERS[extension]


def spoken(container: str) -> str:
    """The name people use for a container: mkv for matroska."""
    names = {"matroska": "mkv", "mpegts": "ts", "yuv4mpegpipe": "y4m", "rawvideo": "raw planes"}
    return names.get(container, container)


_FRAGMENTED = {"movflags": "+frag_keyframe+delay_moov+default_base_moof"}
"""MP4 and MOV that are written once through: a fragment for each keyframe. `delay_moov` lets the header wait for the
first packets, without which it cannot say that the clip begins at zero: with B-frames it then begins later."""


def muxer_options(container: str, streamed: bool = False) -> dict[str, str]:
    """Options of the muxer under which every packet keeps the time it was given; `streamed` to where it cannot seek.

    AAC begins with a packet at a negative time (priming). Left to itself Matroska then shifts all streams by 21 ms;
    told not to, it keeps them, as MP4 does with an edit list. AVI and FLV cannot hold negative times and must shift.
    """
    words = {"avoid_negative_ts": "disabled"} if container in ("matroska", "webm", "mp4", "mov") else {}
    return words | (_FRAGMENTED if streamed and container in ("mp4", "mov") else {})


@cache
def _queried(container: str) -> frozenset[str]:
    """Names of the codecs of this FFmpeg build that `container` says it can hold."""
    with av.open(io.BytesIO(), "w", format=container) as output:
        return frozenset(output.supported_codecs)


def holds(container: str, codec: str, implementation: str = "") -> bool:
    """Whether `container` can hold streams of `codec` (FFmpeg's codec name, such as hevc or subrip).

    `implementation` is the name of a decoder or encoder of that codec, if it is known: the query is by those.
    """
    if container in KINDS or codec in _REFUSED.get(container, ()):
        return False
    if container == "mpegts":
        return codec in _MPEGTS
    return bool({codec, implementation} & _queried(container))


def holds_cover(container: str, codec: str) -> bool:
    """Whether `container` can hold a picture of `codec` as cover art."""
    return codec in _COVERS.get(container, ())


def holds_chapters(container: str) -> bool:
    """Whether `container` has chapters."""
    return container in _CHAPTERS


def text_target(container: str) -> str | None:
    """The text subtitle codec that others are converted to in `container`, None if it holds no text subtitles."""
    return _TEXT_TARGET.get(container)
