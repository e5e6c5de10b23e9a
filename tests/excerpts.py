"""Small pieces of real clips: cut by copying packets, or decoded, cropped, shrunk and coded without loss.

trim(packaged("bikes.mp4"), tmp_path / "in.mp4", 8)                          its first 8 pictures, sound as long
excerpt(packaged("bikes.mp4"), tmp_path / "in.mkv", 3, box=(300, 96, 64, 48))  3 pictures of 64x48
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import av
from av.packet import Packet

from vidsr.frames import PixelLayout
from vidsr.media.pixels import fill_frame, format_of, layout_of, planes_of

Box = tuple[int, int, int, int]
"""left, top, width, height in pixels; even numbers, as 4:2:0 has to be cropped."""


def trim(source: Path, target: Path, pictures: int) -> Path:
    """The first `pictures` coded pictures of `source` and the sound until their end, packets untouched."""
    with av.open(str(source)) as old:
        video = old.streams.video[0]
        packets = [packet for packet in old.demux() if packet.size and packet.pts is not None]
        shown = [packet for packet in packets if packet.stream.index == video.index][:pictures]
        end = max(_end(packet) for packet in shown)
        others = [packet for packet in packets if packet.stream.index != video.index and _start(packet) < end]
        with av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as new:
            copies = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
            for packet in sorted([*shown, *others], key=lambda packet: (packet.dts or 0) * packet.time_base):
                packet.stream = copies[packet.stream.index]
                new.mux(packet)
    return target


def _start(packet: Packet) -> Fraction:
    return Fraction((packet.pts or 0) * packet.time_base)


def _end(packet: Packet) -> Fraction:
    return _start(packet) + (packet.duration or 0) * packet.time_base


def excerpt(
    source: Path, target: Path, pictures: int, *, box: Box | None = None, shrink: int = 1, pix_fmt: str = "yuv420p",
    codec: str = "ffv1", sound: bool = False, options: dict[str, str] | None = None,
) -> Path:  # fmt: skip
    """`pictures` pictures of `source`, made `shrink` times smaller, in `pix_fmt`, then cropped to `box`.

    `options` are the encoder's. Times and colour tags are those of `source`; with `sound` also its packets of sound
    until the last picture ends.
    """
    with av.open(str(source)) as old, av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as new:
        video, shown = old.streams.video[0], []
        stream = new.add_stream(codec, rate=video.average_rate, options=options or {})
        copies = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams.audio if sound}
        for _, picture in zip(range(pictures), old.decode(video), strict=False):
            shown.append(_cropped(picture, box, shrink, layout_of(pix_fmt)))
        stream.width, stream.height, stream.pix_fmt = shown[0].width, shown[0].height, pix_fmt
        stream.codec_context.time_base = stream.time_base = video.time_base
        stream.codec_context.colorspace, stream.codec_context.color_range = shown[0].colorspace, shown[0].color_range
        packets = [packet for picture in shown for packet in stream.encode(picture)] + stream.encode(None)
        old.seek(0)
        end = (shown[-1].pts + shown[-1].duration) * video.time_base
        for packet in old.demux([old.streams[index] for index in copies]) if copies else ():
            if packet.size and _start(packet) < end:
                packet.stream = copies[packet.stream.index]
                packets.append(packet)
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            new.mux(packet)
    return target


def _cropped(picture: av.VideoFrame, box: Box | None, shrink: int, layout: PixelLayout) -> av.VideoFrame:
    width, height = picture.width // shrink // 2 * 2, picture.height // shrink // 2 * 2
    small = picture.reformat(width=width, height=height, format=format_of(layout))
    left, top, wide, high = box or (0, 0, width, height)
    planes = []
    for plane, (rows, columns) in zip(planes_of(small, layout), layout.plane_sizes(wide, high), strict=True):
        y, x = top * rows // high, left * columns // wide
        planes.append(plane[y : y + rows, x : x + columns])
    cropped = fill_frame(tuple(planes), layout, wide, high)
    cropped.pts, cropped.time_base, cropped.duration = picture.pts, picture.time_base, picture.duration
    cropped.colorspace, cropped.color_range = picture.colorspace, picture.color_range
    return cropped


def times(path: Path) -> list[Fraction]:
    """Seconds of every decoded picture."""
    with av.open(str(path)) as container:
        return [Fraction(picture.pts * picture.time_base) for picture in container.decode(video=0)]


def packet_hashes(path: Path, kind: str = "audio") -> dict[int, list[str]]:
    """Hashes of the packets of every stream of a kind, by its place among them."""
    found: dict[int, list[str]] = defaultdict(list)
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        for packet in container.demux(streams) if streams else ():
            if packet.size:
                found[streams.index(packet.stream)].append(sha256(bytes(packet)).hexdigest())
    return dict(found)
