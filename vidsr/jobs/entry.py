"""A Source placed at the beginning of a segment. Seeking is never trusted: the packet that comes is proven.

Seeks land late in transport streams, go nowhere without an index, and take edit lists and cues in each demuxer's own
way. So packets are read up to the entry itself, known by its times, size and checksum; where it does not come, the
next seek goes further back, and the last resort is to read from the beginning of the file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import InputError
from ..events import Emit, Notice
from ..media.libav import main_video, open_input, reason
from ..scan import Key
from ..stages.source import Source, packets


def place(source: Source, entry: Key | None, emit: Emit) -> Iterator[Packet[Any]]:
    """The packets of the video stream from `entry` on, exactly as a reading from the beginning has them.

    Of `source` nothing may have been read; its decoder is clean afterwards. The first item is the entry itself, the
    last the flush packet; packets of other streams are left out. Without `entry` it is the whole stream, through
    `stages.source.packets`. Otherwise times are not put on a continuous clock: an input that may be cut needs none
    (`scan` refuses those that do), and the clock might take what follows a seek for a splice. The work of finding
    the entry is done when this is called, not when the first packet is taken.

    Raises InputError if the entry is nowhere in the file, or if it cannot be read on from there.
    """
    assert not source.seen, "the source was read before"
    if entry is None:
        return packets(source, lambda packet: None, emit)
    for target in _targets(source, entry):
        found = _sought(source, entry, target)
        if found:
            return found
        seconds = float(target * (source.video.time_base or 1))
        emit(Notice(f"a seek to {seconds:.3f} s did not lead to the segment's first packet, further back", "detail"))
    return _from_beginning(source.path, entry)


def _targets(source: Source, entry: Key) -> Iterator[int]:
    """Times to seek to, in units of the stream's time base: the entry's own, then ever further before it."""
    base = source.video.time_base
    second = max(1, round(1 / base)) if base else 1
    time = entry.pts if entry.dts is None else min(entry.pts, entry.dts)
    back = 0
    while time - back > (source.video.start_time or 0):
        yield time - back
        back = 2 * back or second


def _sought(source: Source, entry: Key, target: int) -> Iterator[Packet[Any]] | None:
    """The packets from `entry` on after a seek to `target`; None if it does not come."""
    try:
        source.container.seek(target, backward=True, stream=source.video)
        rest = source.container.demux(source.video)
        for packet in islice(rest, entry.number + 1):  # no more than that lie before it
            if _is_entry(packet, entry):
                return _on(packet, rest, source.path)
            if _is_past(packet, entry):
                return None
    except (av.error.FFmpegError, EOFError, IndexError):  # some demuxers cannot seek, others stumble where they land
        return None
    return None


def _is_entry(packet: Packet[Any], entry: Key) -> bool:
    same = (packet.pts, packet.dts, packet.size) == (entry.pts, entry.dts, entry.size)
    return same and zlib.crc32(packet) == entry.crc


def _is_past(packet: Packet[Any], entry: Key) -> bool:
    """Whether `packet` surely lies behind the entry: decoding times rise, and so do the pts of keyframes."""
    if packet.size == 0:
        return True  # the end
    if packet.dts is not None and entry.dts is not None:
        return packet.dts > entry.dts
    return packet.is_keyframe and packet.pts is not None and packet.pts > entry.pts


def _from_beginning(path: Path, entry: Key) -> Iterator[Packet[Any]]:
    """The packets from `entry` on by reading all before it, in a container of its own: the first is spoilt by seeks.

    Its packets go to the decoder of the first, which has decoded nothing: both are the same stream.
    """
    container = open_input(path)
    try:
        rest = container.demux(main_video(container, path))
        packet = next(islice((packet for packet in rest if packet.size), entry.number, None), None)
    except (av.error.FFmpegError, EOFError, IndexError) as error:
        container.close()
        raise _changed(path, reason(error)) from error
    if packet is None or not _is_entry(packet, entry):
        container.close()
        raise _changed(path, f"packet {entry.number} of its video is another than it was")
    return _on(packet, rest, path, container)


def _on(
    first: Packet[VideoStream],
    rest: Iterator[Packet[VideoStream]],
    path: Path,
    container: InputContainer | None = None,
) -> Iterator[Packet[Any]]:
    """`first` and `rest`, after which `container` is closed."""
    try:
        yield from chain([first], rest)
    except (av.error.FFmpegError, EOFError, IndexError) as error:  # nothing of the kind happened when it was scanned
        raise _changed(path, reason(error)) from error
    finally:
        if container:
            container.close()


def _changed(path: Path, why: str) -> InputError:
    what = f"input {path} does not read as it did when it was planned: {why}"
    return InputError(what, "it was changed or replaced meanwhile, or its disk fails; start over when it is at rest")
