"""9. Planes to packets. Whatever PyAV would silently adapt is asserted here first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import av
from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import OutputError
from ..frames import ColorTags, PixelLayout, Plane, UpscaledFrame
from ..media.encoders import settle_short
from ..media.hwaccel import Surfaces
from ..media.libav import reason
from ..media.palette import Palette
from ..media.pixels import fill_frame


@dataclass
class Encoding:
    """One video stream being encoded.

    `color` are the tags written on every frame; `offset` is added to every pts (see the muxer's clock). With `surfaces`
    the planes are those of NV12 or P010 and stay on the device. `palette` is for encoders of pictures with one.
    """

    stream: VideoStream
    pix_fmt: str
    layout: PixelLayout
    width: int
    height: int
    color: ColorTags
    offset: int = 0
    surfaces: Surfaces | None = None
    palette: Palette | None = None
    _durations: dict[int, int] = field(default_factory=dict)
    _last: int | None = None

    def packets(self, frames: Iterable[UpscaledFrame]) -> Iterator[Packet[Any]]:
        """The encoded packets in order of decoding, the encoder drained at the end. Raises OutputError."""
        sent = 0
        for frame in frames:
            yield from self._encode(self._av_frame(frame))
            sent += 1
        rest = list(self._encode(None))
        yield from settle_short(rest) if sent <= 2 else rest

    def _encode(self, frame: av.VideoFrame | None) -> Iterator[Packet[Any]]:
        try:
            encoded = self.stream.encode(frame)
        except (av.error.FFmpegError, ValueError) as error:
            where = "at its end" if frame is None else f"at pts {frame.pts}"
            raise OutputError(f"encoder {self.stream.codec_context.name} failed {where}: {reason(error)}") from error
        for packet in encoded:
            known = self._durations.pop(packet.pts, 0) if packet.pts is not None else 0
            packet.duration = packet.duration or known
            yield packet

    def _av_frame(self, frame: UpscaledFrame) -> av.VideoFrame:
        """The picture as the encoder takes it. PyAV would rescale another size, a muxer refuse another order."""
        planes: Any = frame.planes
        sizes = tuple(tuple(plane.shape) for plane in planes)
        expected = self._sizes()
        pts = frame.pts + self.offset
        assert sizes == expected, f"planes of {sizes} where {expected} belong"
        assert self._last is None or pts > self._last, f"pts {pts} after {self._last}"
        picture = self.surfaces.frame(*planes) if self.surfaces else self._packed(planes)
        picture.pts = self._last = pts
        picture.time_base = self.stream.codec_context.time_base
        self._durations[pts] = picture.duration = frame.duration
        self._tag(picture)
        return self.palette.packed(picture) if self.palette else picture

    def _sizes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each plane that a frame should have."""
        luma, *chroma = self.layout.plane_sizes(self.width, self.height)
        return (luma, (*chroma[0], 2)) if self.surfaces else (luma, *chroma)

    def _packed(self, planes: tuple[Plane, ...]) -> av.VideoFrame:
        picture = fill_frame(planes, self.layout, self.width, self.height)
        if self.palette or self.pix_fmt == picture.format.name:
            return picture
        # The same samples, packed as this encoder wants them; threads of libswscale may write over each other's lines.
        return picture.reformat(format=self.pix_fmt, threads=1)

    def _tag(self, picture: av.VideoFrame) -> None:
        picture.colorspace = self.color.matrix
        picture.color_range = 2 if self.color.full_range else 1
        picture.color_primaries = self.color.primaries
        picture.color_trc = self.color.transfer
