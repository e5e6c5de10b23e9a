"""Video streams with transparency: which they are, and by which decoder it comes out.

VP8 and VP9 have none of their own. WebM and Matroska keep it beside each picture, as a second picture in gray
(BlockAdditional 1, marked by AlphaMode), which FFmpeg's own decoders pass over and those of libvpx read.
"""

from __future__ import annotations

from typing import Any

from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from .pixels import has_alpha

_BESIDE = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the transparency beside the pictures, by codec."""


def is_beside(video: VideoStream) -> bool:
    """Whether the transparency of `video` lies beside its pictures, as its header says."""
    marked = any(key.lower() == "alpha_mode" and value == "1" for key, value in video.metadata.items())
    return marked and video.codec_context.codec.canonical_name in _BESIDE


def carries_alpha(video: VideoStream) -> bool:
    """Whether the header says that `video` has transparency."""
    pix_fmt = video.codec_context.pix_fmt if video.codec_context else None
    return bool(pix_fmt and has_alpha(pix_fmt)) or is_beside(video)


def alpha_beside(packet: Packet[Any]) -> bytes:
    """The picture beside that of `packet`, coded as it is; empty where there is none."""
    if not packet.has_sidedata("matroska_block_additional"):
        return b""
    data = bytes(packet.get_sidedata("matroska_block_additional"))  # its number in 8 bytes, and what it holds
    return data[8:] if int.from_bytes(data[:8]) == 1 else b""


def alpha_decoder(video: VideoStream) -> VideoCodecContext | None:
    """A decoder for `video` that gives its transparency too; None where its own does, or there is none."""
    if not is_beside(video):
        return None
    own = video.codec_context
    context = CodecContext.create(_BESIDE[own.codec.canonical_name], "r")
    assert isinstance(context, VideoCodecContext)
    context.options, context.thread_count = dict(own.options), 0
    context.extradata = own.extradata
    return context
