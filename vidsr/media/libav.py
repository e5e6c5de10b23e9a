"""PyAV's quirks, in one place: what it takes to open an input safely, and what its errors mean.

Seen on PyAV 18.1 (FFmpeg 8): decoder options given to `av.open` do not reach the decoder; a name such as `a:b.mkv` is
taken for a protocol; a file cut before its index fails with an error that is also an EOFError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import av
import av.logging
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import InputError, OutputError, ReaderGoneError
from .distant import name_or_file
from .forms import Form
from .pipes import CHUNK, Reader, is_stream

R = TypeVar("R")

_INDIRECT = {"hls", "concat", "dash", "lavfi", "imf", "sdp", "rtp", "rtsp", "sap", "image2", "tty", "ffmetadata"}
"""Demuxers that read other files than the one named, or read anything as if it were video."""


def allowed_formats() -> list[str]:
    """FFmpeg's names of the formats that inputs may have."""
    return sorted(name for name in av.formats_available if not _INDIRECT & set(name.split(",")))


def open_input(path: Path | Reader, hwaccel: HWAccel | None = None, form: Form | None = None) -> InputContainer:
    """Open a local file or a stream for reading. Raises InputError when it is missing, empty, a folder, or holds no
    streams.

    Only the file itself is read: playlists and other formats that name further files are refused. `hwaccel` decodes
    its video where it can. `form` says what it holds where it does not say so itself.
    """
    options = {"protocol_whitelist": "file,pipe", "format_whitelist": ",".join(allowed_formats())}
    if isinstance(path, Reader) or is_stream(path):
        return _open_stream(path if isinstance(path, Reader) else Reader(path), form, options)
    _check_readable(path)
    if form is not None:
        return _open_formed(path, form, options)
    try:
        return av.open(name_or_file(path), "r", options=options, metadata_errors="replace", hwaccel=hwaccel)
    except (av.error.FFmpegError, EOFError, ValueError) as error:
        raise InputError(
            f"input {path} is not a video that can be read: {reason(error)}",
            "a file cut short before its index cannot be opened; vidsr probe shows what a file holds",
        ) from error


def _open_formed(path: Path, form: Form, options: dict[str, str]) -> InputContainer:
    try:
        return av.open(f"file:{path.resolve()}", "r", form.demuxer, options=options | form.words())
    except (av.error.FFmpegError, EOFError, ValueError) as error:
        what = f"input {path} cannot be read as --in-format says: {reason(error)}"
        raise InputError(what, "leave out --in-format if the file says itself what it is") from error


def _open_stream(reader: Reader, form: Form | None, options: dict[str, str]) -> InputContainer:
    words = options | (form.words() if form else {})
    try:
        if not reader.head:
            raise InputError(f"input {reader.name} is empty (0 bytes)", "the program that writes it may have failed")
        name = form.demuxer if form else None
        return av.open(reader, "r", name, options=words, buffer_size=CHUNK, metadata_errors="replace")
    except (av.error.FFmpegError, EOFError, ValueError) as error:
        reader.raise_failure()
        what = f"input {reader.name} is not a video that can be read: {reason(error)}"
        raise InputError(what, _STREAMABLE) from error
    except BaseException:
        reader.close()
        raise


_STREAMABLE = (
    "from a pipe come y4m, mkv, ts, nut and other containers that begin with their header, mp4 only with its index"
    " first or in fragments; raw planes need --in-format, --in-size and --in-rate"
)


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


def weight_of(packet: Packet[Any]) -> int:
    """What a packet counts when streams are compared: 1, but its bytes for PCM, which containers cut anew."""
    context = packet.stream.codec_context
    return packet.size if context is not None and context.name.startswith("pcm_") else min(1, packet.size)
