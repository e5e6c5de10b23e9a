"""PyAV's quirks, in one place: what it takes to open an input safely, and what its errors mean.

Seen on PyAV 18.1 (FFmpeg 8): decoder options given to `av.open` do not reach the decoder; a name such as `a:b.mkv` is
taken for a protocol; a file cut before its index fails with an error that is also an EOFError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import av
import av.logging
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from ..errors import InputError, OutputError, ReaderGoneError

R = TypeVar("R")

_INDIRECT = {"hls", "concat", "dash", "lavfi", "imf", "sdp", "rtp", "rtsp", "sap", "image2", "tty", "ffmetadata"}
"""Demuxers that read other files than the one named, or read anything as if it were video."""


def _allowed_formats() -> str:
    return ",".join(sorted(name for name in av.formats_available if not _INDIRECT & set(name.split(","))))


def open_input(path: Path, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a local file for reading. Raises InputError when it is missing, empty, a folder, or holds no streams.

    Only the file itself is read: playlists and other formats that name further files are refused. `hwaccel` decodes
    its video where it can.
    """
    _check_readable(path)
    options = {"protocol_whitelist": "file,pipe", "format_whitelist": _allowed_formats()}
    try:
        return av.open(f"file:{path.resolve()}", options=options, metadata_errors="replace", hwaccel=hwaccel)
    except (av.error.FFmpegError, EOFError, ValueError) as error:
        raise InputError(
            f"input {path} is not a video that can be read: {reason(error)}",
            "a file cut short before its index cannot be opened; vidsr probe shows what a file holds",
        ) from error


def _check_readable(path: Path) -> None:
    try:
        found = path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be entered
        raise InputError(f"input {path} cannot be read: {reason(error)}") from error
    if not found:
        raise InputError(f"input {path} does not exist", "check the name; relative names start at the current folder")
    if path.is_dir():
        raise InputError(f"input {path} is a folder, a video file is needed")
    if not os.access(path, os.R_OK):
        raise InputError(f"input {path} cannot be read: permission denied")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"input {path} is empty (0 bytes)")


def main_video(container: InputContainer, path: Path) -> VideoStream:
    """The video stream to upscale: the default one, else the first; cover art is never taken for it."""
    real = [stream for stream in container.streams.video if not is_cover(stream)]
    if not real:
        kinds = ", ".join(sorted({stream.type or "unknown" for stream in container.streams})) or "none"
        raise InputError(f"input {path} is not a video (no video stream; streams found: {kinds})")
    preferred = [stream for stream in real if stream.disposition & av.stream.Disposition.default]
    chosen = (preferred or real)[0]
    if chosen.codec_context is None:
        raise InputError(f"input {path}: the codec of its video stream is unknown to this FFmpeg")
    return chosen


def is_cover(stream: av.stream.Stream) -> bool:
    """Whether a stream is cover art: a picture attached to the file."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def reason(error: BaseException) -> str:
    """What went wrong, in FFmpeg's words, without its file names and numbers."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:] if text else type(error).__name__


def writing(path: Path, work: Callable[[], R]) -> R:
    """The result of `work`, which writes to `path`; errors of the disk and of pipes become ours."""
    try:
        return work()
    except BrokenPipeError as error:
        raise ReaderGoneError("the reader of the output is gone") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            why = "no space left" if error.errno != errno.EFBIG else "the file would be larger than allowed"
            raise OutputError(f"output {path}: {why}", "free some space, or write to another disk with -o") from error
        raise OutputError(f"output {path} cannot be written: {reason(error)}") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise OutputError(f"output {path} cannot be written: {reason(error)}") from error
