"""Open the written file again and hold it against what was sent to it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.container.core import Container
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..errors import VerificationError
from .alpha_streams import alpha_beside, alpha_decoder, is_beside
from .animations import ANIMATIONS, Animation, read_animation
from .libav import is_cover, reason, weight_of
from .pixels import has_alpha
from .subtitles import is_pause

T = TypeVar("T")
Stamps = NDArray[np.int64]
"""Rising pts."""


@dataclass
class Sent:
    """What went into the output, counted where it was written. Times of `pts` are in `time_base` units."""

    width: int
    height: int
    time_base: Fraction
    pts: array[int]
    kinds: Counter[str]
    """Streams by kind, video included; see `kinds_of`."""
    packets: Counter[int] = field(default_factory=Counter)
    """Carried packets, or bytes of PCM, by stream of the output."""
    first: dict[int, Fraction] = field(default_factory=dict)
    """Seconds of the first packet of each carried stream."""
    alpha: bool = False
    """The pictures have transparency."""


def verify(path: Path, sent: Sent, check: Callable[[], None]) -> tuple[str, ...]:
    """What was checked and holds, in words; `check` is called now and then, and may raise.

    Raises VerificationError for the first thing that does not hold.
    """
    try:
        with av.open(f"file:{path.resolve()}", metadata_errors="replace") as container:
            return _compare(container, sent, check, read_animation(path))
    except (av.error.FFmpegError, EOFError) as error:
        raise VerificationError(f"output {path} cannot be opened again: {reason(error)}") from error


def _compare(
    container: InputContainer, sent: Sent, check: Callable[[], None], animation: Animation | None
) -> tuple[str, ...]:
    found = kinds_of(container)
    if found != sent.kinds:
        raise _difference("streams", dict(found), dict(sent.kinds))
    video = container.streams.video[0]
    pts, packets, first = _scan(container, video, check)
    base = Fraction(video.time_base or 0)
    if container.format.name in ANIMATIONS and animation is not None:
        base, times = animation.clock
        pts = np.asarray(times[:-1])
    _check_video(pts, base, sent)
    shift = _check_carried(packets, first, int(pts[0]) * base, sent)
    _check_picture(container, video, sent)
    said = [f"{len(pts)} frames at their times", "the first picture decoded, of the right size"]
    said += ["every frame with its transparency"] if sent.alpha else []
    if sent.packets:
        said.append(f"all packets of {len(sent.packets)} carried streams, offset kept{shift}")
    return tuple(said)


def kinds_of(container: Container) -> Counter[str]:
    """How many streams there are of each kind.

    An attached picture is `cover`: Matroska writes it as an attachment and reads it back as a video stream. Tracks that
    MP4 and MOV make of chapters and of a timecode by themselves are left out.
    """
    return Counter(_kind(stream) for stream in container.streams if not _made_by_muxer(stream))


def _made_by_muxer(stream: Stream) -> bool:
    return stream.type == "data" and (stream.name == "bin_data" or "timecode" in stream.metadata)


def _kind(stream: Stream) -> str:
    attached = isinstance(stream, AttachmentStream) and (stream.mimetype or "").startswith("image/")
    return "cover" if attached or is_cover(stream) else str(stream.type)


def _unsent(packet: Packet[Any]) -> bool:
    """Whether it was not sent as a packet: cover art, and the empty samples that MP4 and MOV put between subtitles."""
    return is_pause(packet) or is_cover(packet.stream) or _made_by_muxer(packet.stream)


def _scan(
    container: InputContainer, video: VideoStream, check: Callable[[], None]
) -> tuple[Stamps, Counter[int], dict[int, Fraction]]:
    """pts of the video, and packets and first time of every other stream, by reading the file without decoding."""
    pts = array("q")  # eight bytes for each frame of a film
    packets: Counter[int] = Counter()
    first: dict[int, Fraction] = {}
    beside = is_beside(video)
    for packet in container.demux():
        check()
        if packet.size == 0 or _unsent(packet):
            continue
        if packet.pts is None:
            if packet.stream_index != video.index:
                packets[packet.stream_index] += weight_of(packet)
            continue
        if packet.stream_index == video.index:
            if packet.is_discard:
                raise VerificationError(f"output: the frame at {packet.pts} is hidden by the container")
            if beside and not alpha_beside(packet):
                raise VerificationError(f"output: the frame at {packet.pts} has no transparency beside it")
            pts.append(packet.pts)
            continue
        packets[packet.stream_index] += weight_of(packet)
        time = Fraction(packet.pts) * Fraction(packet.time_base)
        first[packet.stream_index] = min(time, first.get(packet.stream_index, time))
    return np.sort(np.asarray(pts)), packets, first


def _check_video(pts: Stamps, base: Fraction, sent: Sent) -> None:
    """Every frame is there, at its time to within one tick of the coarser clock, up to one shift of the whole."""
    if len(pts) != len(sent.pts):
        raise _difference("frames", len(pts), len(sent.pts))
    found = (pts - pts[0]) * float(base)
    meant = (np.asarray(sent.pts) - sent.pts[0]) * float(sent.time_base)
    off = np.abs(found - meant) > float(max(base, sent.time_base)) * (1 + 1e-6)
    if off.any():
        place = int(off.argmax())
        raise _difference(f"time of frame {place} in seconds from the first", found[place], meant[place])


def _check_carried(packets: Counter[int], first: dict[int, Fraction], start: Fraction, sent: Sent) -> str:
    """Carried streams are whole and lie as far from the picture as they did.

    They are compared in their order: their numbers change where the container puts attached files last.
    """
    found, meant = _in_order(packets), _in_order(sent.packets)
    if found != meant:
        raise _difference("carried packets by stream", found, meant)
    begun = sent.pts[0] * sent.time_base
    pairs = zip(_in_order(first), _in_order(sent.first), strict=False)
    worst = max((abs((after - start) - (before - begun)) for after, before in pairs), default=Fraction(0))
    if worst > Fraction(1, 100):
        raise VerificationError(f"output: a carried stream lies {float(worst) * 1000:.0f} ms off the picture")
    return f" to {float(worst) * 1000:.1f} ms"


def _in_order(values: Mapping[int, T]) -> list[T]:
    return [value for _, value in sorted(values.items())]


def _check_picture(container: InputContainer, video: VideoStream, sent: Sent) -> None:
    container.seek(0)
    decoder = alpha_decoder(video) or video.codec_context
    packets = (packet if packet.size else None for packet in container.demux(video))
    picture = next((picture for packet in packets for picture in decoder.decode(packet)), None)
    if picture is None:
        raise VerificationError("output: its first picture cannot be decoded")
    if sent.alpha and not has_alpha(picture.format.name):
        raise _difference("pixel format", picture.format.name, "one with transparency")
    if (picture.width, picture.height) != (sent.width, sent.height):
        raise _difference("size", f"{picture.width}x{picture.height}", f"{sent.width}x{sent.height}")


def _difference(what: str, found: object, meant: object) -> VerificationError:
    return VerificationError(
        f"output differs from what was sent to it: {what} {found}, sent {meant}",
        "nothing was replaced; please report this with vidsr doctor's output",
    )
