"""Everything but the video, carried from one container to another."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, TypeVar

from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.subtitles.stream import SubtitleStream

from ..events import Emit, Retimed, ignore
from .audio import Transcoder, add_encoded, audio_encoder, usual_layout
from .cut import LEAD, Cut
from .libav import is_cover, open_input
from .plan import TIMECODE_AS_TAG, StreamPlan
from .subtitles import TextConverter, is_pause

if TYPE_CHECKING:
    from av.container.core import Chapter

S = TypeVar("S", bound=Stream)

_MADE_BY_MUXER = re.compile(
    r"encoder|duration(-.*)?|bps(-.*)?|number_of_(frames|bytes)(-.*)?|_statistics_.*|source_id(-.*)?|vendor_id"
    r"|major_brand|minor_version|compatible_brands|filename|mimetype",
    re.IGNORECASE,
)
"""Metadata that describes the old file and that the muxer writes anew."""

_QUICKTIME = {"cze": "ces", "fre": "fra", "mao": "mri", "rum": "ron", "slo": "slk"}
"""Languages of Matroska (ISO 639-2/B) that QuickTime knows by their other name only, and would write as unknown."""

_COVER_TYPES = {"png": ("cover.png", "image/png"), "mjpeg": ("cover.jpg", "image/jpeg")}


class Carrier:
    """Adds an output stream for every plan and turns packets of the input into packets ready to mux.

    Build it after the video stream was added to `output` and before the first packet is muxed. `offset`, in seconds,
    is added to all times: the same by which the video is moved when its timestamps would be negative. `read` are
    packets of the input that were read already. `streamed` says that the output cannot go back in what it wrote. Only
    what lies in `cut` is carried. `tags` says whether those of the whole file are.
    """

    def __init__(
        self,
        plans: Iterable[StreamPlan],
        source: InputContainer,
        output: OutputContainer,
        offset: Fraction = Fraction(0),
        emit: Emit = ignore,
        read: Iterable[Packet[Any]] = (),
        streamed: bool = False,
        cut: Cut | None = None,
        tags: bool = True,
    ) -> None:
        self._first = {packet.stream_index: packet for packet in reversed([*read]) if packet.size and streamed}
        self._covers = {packet.stream_index: packet for packet in read if packet.size and is_cover(packet.stream)}
        self.plans = tuple(plans)
        self.source, self.output, self.offset, self.emit, self.cut = source, output, offset, emit, cut
        self._workers: dict[int, _Copier | TextConverter | Transcoder] = {}
        if tags:
            output.metadata.update(carried_metadata(source.metadata))
        for plan in self.plans:
            if plan.action == "drop":
                self._carry_timecode(plan)
            elif plan.kind == "chapters":
                self._carry_chapters()
            else:
                self._add(source.streams[plan.index], plan)

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """The packets ready to mux after `packet` of the input; none when its stream is dropped or already carried.

        A copied packet is the same object with its bytes untouched.
        """
        worker = self._workers.get(packet.stream_index)
        if worker is None or packet.size == 0 or not self._lies_in(packet, worker):
            return []
        if isinstance(worker, TextConverter):
            return self._shifted(worker.take(packet))
        return worker.take(packet)

    def _lies_in(self, packet: Packet[Any], worker: _Copier | TextConverter | Transcoder) -> bool:
        """Whether a packet is needed; what is encoded anew is cut to the sample later."""
        if self.cut is None:
            return True
        return self.cut.overlaps(packet, LEAD) if isinstance(worker, Transcoder) else self.cut.copied(packet)

    def finish(self) -> list[Packet[Any]]:
        """The packets that encoders and converters held back. Call it once, after the last packet."""
        packets: list[Packet[Any]] = []
        for worker in self._workers.values():
            rest = worker.finish()
            packets += self._shifted(rest) if isinstance(worker, TextConverter) else rest
        return packets

    def _add(self, stream: Stream, plan: StreamPlan) -> None:
        if plan.action == "attach":
            assert isinstance(stream, AttachmentStream)
            self._attach(stream)
        elif plan.action == "cover" and self.output.format.name == "matroska":
            self.output.add_attachment(*_COVER_TYPES[plan.codec], self._cover(plan.index))
        else:
            self._workers[plan.index] = self._worker(stream, plan)

    def _cover(self, index: int) -> bytes:
        """The picture of cover art: a pipe gives it only once, a demuxer before everything else."""
        return bytes(self._covers[index]) if index in self._covers else cover_picture(self.source, index)

    def _worker(self, stream: Stream, plan: StreamPlan) -> _Copier | TextConverter | Transcoder:
        if plan.action == "encode":
            assert isinstance(stream, AudioStream)
            sound = self._described(stream, add_encoded(self.output, stream, audio_encoder(plan.target)))
            return Transcoder(stream, sound, self.offset, self.emit, self.cut)
        if plan.action == "convert":
            assert isinstance(stream, SubtitleStream)
            text = self._described(stream, self.output.add_stream(plan.target))
            assert isinstance(text, SubtitleStream)
            return TextConverter(stream, text, self.emit)
        copy = self._described(stream, self.output.add_stream_from_template(stream, opaque=True))
        if plan.codec == "aac" and self.output.format.name == "matroska" and stream.index in self._first:
            self._configure(copy, bytes(self._first[stream.index]))
        if isinstance(copy, AudioStream) and copy.channels and copy.layout.name.endswith(" channels"):
            copy.codec_context.layout = usual_layout(copy.channels)  # AVI and MKV do not say it, and MP4 insists
        return _Copier(copy, self.offset, self.emit)

    def _configure(self, copy: Stream, packet: bytes) -> None:
        """Give AAC of a transport stream the description that Matroska wants in its header, before the first packet.

        Each packet of it begins with a header of its own instead (ADTS, ISO/IEC 13818-7 section 6.2), and the muxer
        goes back to write the description: a pipe does not let it.
        """
        if copy.codec_context.extradata or len(packet) < 7 or packet[0] != 0xFF or packet[1] & 0xF6 != 0xF0:
            return
        profile, rate = packet[2] >> 6, packet[2] >> 2 & 15
        channels = (packet[2] & 1) << 2 | packet[3] >> 6
        copy.codec_context.extradata = ((profile + 1) << 11 | rate << 7 | channels << 3).to_bytes(2)

    def _described(self, source: Stream, target: S) -> S:
        """`target` with the language, title, other metadata and disposition of `source`."""
        target.metadata.update(carried_metadata(source.metadata, self.output.format.name))
        target.disposition = source.disposition
        return target

    def _attach(self, stream: AttachmentStream) -> None:
        name = safe_name(stream.metadata.get("filename", ""))
        mime = stream.mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.output.add_attachment(name, mime, stream.data)

    def _carry_timecode(self, plan: StreamPlan) -> None:
        """A timecode track becomes a tag; MP4 and MOV make a track of it again."""
        if plan.kind == "data" and plan.reason == TIMECODE_AS_TAG:
            self.output.metadata["timecode"] = self.source.streams[plan.index].metadata["timecode"]

    def _carry_chapters(self) -> None:
        chapters = self.source.chapters()
        for chapter in chapters:
            base = chapter["time_base"]
            shift = round(self.offset / base) if base else 0
            chapter["start"] += shift
            chapter["end"] += shift
        self.output.set_chapters(self._cut_chapters(chapters) if self.cut else chapters)

    def _cut_chapters(self, chapters: list[Chapter]) -> list[Chapter]:
        """Those that lie in the excerpt, already on its clock, and what lies in it of the others."""
        assert self.cut is not None, "an excerpt is cut"
        kept: list[Chapter] = []
        for chapter in chapters:
            base = chapter["time_base"]
            end = chapter["end"]
            if base and self.cut.about is not None:
                end = min(end, int(self.cut.about // base))
            start = max(0, chapter["start"])
            if start < end:
                kept.append(chapter | {"start": start, "end": end})
        return kept

    def _shifted(self, packets: list[Packet[Any]]) -> list[Packet[Any]]:
        for packet in packets:
            shift_packet(packet, self.offset)
        return packets


class _Copier:
    """Hands packets on as they are, with decoding times that rise as muxers demand."""

    def __init__(self, target: Stream, offset: Fraction, emit: Emit) -> None:
        self.target, self.offset, self.emit = target, offset, emit
        self._last: int | None = None
        self._begin = self._end = 0
        self._told = False

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        if is_pause(packet):
            return []  # MP4 and MOV put their own between subtitles
        if packet.pts is None and packet.dts is None:
            packet.pts = packet.dts = self._end  # follows the one before, as a player would take it
        stamp = packet.pts if packet.pts is not None else packet.dts
        if not packet.duration and self.target.type == "audio":
            packet.duration = max(0, (stamp or 0) - self._begin)  # without it MP4 hides the last packet (ALAC in MKV)
        self._begin, self._end = stamp or 0, (stamp or 0) + (packet.duration or 0)
        self._keep_rising(packet)
        shift_packet(packet, self.offset)
        packet.stream = self.target
        return [packet]

    def _keep_rising(self, packet: Packet[Any]) -> None:
        if packet.dts is None:
            return
        if self._last is not None and packet.dts <= self._last and self.target.type != "subtitle":
            packet.dts = self._last + 1
            if packet.pts is not None and packet.pts < packet.dts:
                self._tell(packet)
                packet.pts = packet.dts
        self._last = packet.dts

    def _tell(self, packet: Packet[Any]) -> None:
        """Say once that times of this stream had to be moved."""
        if not self._told:
            what = f"times of {packet.stream.type} #{packet.stream_index} go back and were moved ahead"
            self.emit(Retimed(float((packet.pts or 0) * packet.time_base), what))
        self._told = True

    def finish(self) -> list[Packet[Any]]:
        return []


def shift_packet(packet: Packet[Any], offset: Fraction) -> None:
    """Add `offset` seconds to the times of `packet`, rounded to its time base."""
    if not offset or not packet.time_base:
        return
    ticks = round(offset / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks


def carried_metadata(metadata: dict[str, str], container: str = "") -> dict[str, str]:
    """`metadata` without what describes the old file (brands, statistics, encoder), which the muxer writes anew."""
    kept = {key: value for key, value in metadata.items() if not _MADE_BY_MUXER.fullmatch(key)}
    if container == "mov" and kept.get("language") in _QUICKTIME:
        kept["language"] = _QUICKTIME[kept["language"]]
    return kept


def cover_picture(source: InputContainer, index: int) -> bytes:
    """The coded picture of cover art stream `index`.

    A container with attached pictures wants them before the first packet, and a demuxer gives them with its first
    packets; so the file is opened a second time for them.
    """
    with open_input(Path(source.name.removeprefix("file:"))) as again:
        return bytes(next(packet for packet in again.demux(again.streams[index]) if packet.size))


def safe_name(name: str) -> str:
    """`name` of an attached file without folders, control characters, and of at most 200 characters."""
    last = PureWindowsPath(name.replace("\0", "")).name
    clean = "".join(character for character in last if character.isprintable()).strip(" .")
    return clean[-200:] or "attachment"
