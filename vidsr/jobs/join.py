"""Finished segments to one file: packets copied, timestamps exact, everything else carried once from the source."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import VerificationError
from ..events import Emit
from ..record import Tally
from ..running import Run
from .messages import event_from_json
from .segment import SegmentReader

_NEVER = Fraction(1 << 62)


def load(
    segments: Sequence[dict[str, Any]], events: Iterable[dict[str, Any]], emit: Emit, check: Callable[[], None]
) -> Tally:
    """The tally of a film whose segments are finished: their sums, and the pts of all frames in order."""
    tally = Tally(emit)
    for event in events:
        tally.count(event_from_json(event))
    for segment in segments:
        tally.pts.extend(sorted(pts for pts, _ in _stamps(SegmentReader(Path(segment["path"])), check)))
        tally.reused += segment["reused"]
        tally.computed += segment["computed"]
        tally.kept = max(tally.kept, segment["kept"])
        tally.runtime, tally.precision = segment["runtime"], segment["precision"]
        for name, seconds in segment["clocks"].items():
            tally.clocks[name] = tally.clocks.get(name, 0.0) + seconds
    kinds = tally.losses_by_kind()
    tally.frames_in = len(tally.pts) - kinds["repeated"] + kinds["dropped"]
    _check_order(tally.pts)
    return tally


def _check_order(pts: array[int]) -> None:
    for before, after in pairwise(pts):
        if after <= before:
            raise VerificationError(
                f"two segments hold frames of one time: pts {after} after {before}", "--no-resume starts over"
            )


def joined(
    run: Run, video: VideoStream, segments: Sequence[dict[str, Any]], read: Iterator[Packet[Any]]
) -> Iterator[Packet[Any]]:
    """The packets of all segments for the stream `video`, whose encoder is opened and never used: the file begins as
    if it had made them. `read` gives the source's packets of the video, and puts those of other streams where the
    muxer finds them: it is read to the time of each packet before that is given out, and to its end.
    """
    video.codec_context.open()
    segments = [segment for segment in segments if segment["packets"]]
    readers = [SegmentReader(Path(segment["path"])) for segment in segments]
    for reader in readers:
        _check_header(reader, video)
    packets: Iterator[Packet[Any]] = chain.from_iterable(readers)
    if any(after["first_dts"] <= before["last_dts"] for before, after in pairwise(segments)):
        delay = max(_delay(reader, run.flow.cancel.check) for reader in readers)
        packets = _redated(packets, run.tally.pts, delay)
    times, reached = _times(read, run.shift), -_NEVER
    for packet in packets:
        run.flow.cancel.check()
        while reached <= _decoded(packet):
            reached = next(times, _NEVER)
        packet.stream = video
        yield packet
    for _ in times:  # what follows the last picture
        pass


def _times(read: Iterable[Packet[Any]], shift: int) -> Iterator[Fraction]:
    """Of each packet the time, on the clock of the output, by which all that was read before it is to be written."""
    for packet in read:
        stamp = packet.dts if packet.dts is not None else packet.pts
        if packet.size and stamp is not None:
            yield (stamp + shift) * packet.time_base


def _check_header(reader: SegmentReader, video: VideoStream) -> None:
    """The segment was made by an encoder just like the one that is open: decoders read its parameters only once."""
    context = video.codec_context
    found, meant = reader.header.extradata, bytes(context.extradata or b"")
    if meant and found != meant:
        raise VerificationError(
            f"segment {reader.path} was encoded with other parameters than {context.codec.name} has here",
            "another version of the encoder made it; --no-resume starts over",
        )


def _redated(packets: Iterable[Packet[Any]], pts: Sequence[int], delay: int) -> Iterator[Packet[Any]]:
    """The packets with decoding times made anew, by the rule that encoders use: packet k is decoded when picture
    k - delay is shown. At variable rates those of two segments may overlap, since each encoder guesses the time before
    its first picture.
    """
    head = pts[min(delay, len(pts) - 1)] - pts[0]
    for number, packet in enumerate(packets):
        packet.dts = pts[number - delay] if number >= delay else pts[number] - head
        yield packet


def _stamps(segment: SegmentReader, check: Callable[[], None]) -> Iterator[tuple[int, int | None]]:
    for stamps in segment.stamps():
        check()
        yield stamps


def _delay(segment: SegmentReader, check: Callable[[], None]) -> int:
    """By how many places a packet comes later, in the order of decoding, than its picture in the order of showing."""
    stamps = [pts for pts, _ in _stamps(segment, check)]
    places = {pts: place for place, pts in enumerate(sorted(stamps))}
    return max(number - places[pts] for number, pts in enumerate(stamps))


def _decoded(packet: Packet[Any]) -> Fraction:
    """Seconds at which it is decoded."""
    assert packet.dts is not None, "the packets of encoders have dts"
    return packet.dts * packet.time_base
