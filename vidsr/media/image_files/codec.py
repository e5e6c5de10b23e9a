"""Pixels through OpenCV and FFmpeg, from bytes and to bytes, in RGB order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction

import av
import cv2
import numpy as np

from .header import Array, Broken


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV says on stderr what is wrong with a file; we say it ourselves."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def swapped(pixels: Array) -> Array:
    """RGB or RGBA to BGR or BGRA, and back; gray as it is."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(channels)
    return pixels if order is None else cv2.cvtColor(pixels, order)


def cv_decode(data: bytes) -> Array:
    """Pixels as stored: no turning upright, no change of depth. Raises Broken."""
    try:
        with _quiet():
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise Broken(f"it cannot be decoded: {error.err}") from error
    if pixels is None:
        raise Broken("it cannot be decoded: it is damaged or cut short")
    return swapped(pixels)


def cv_animation(data: bytes, start: int, count: int) -> list[Array]:
    """The pictures of an animation from `start` on, RGBA; fewer than `count` where they cannot be decoded."""
    try:
        with _quiet():
            done, found = cv2.imdecodeanimation(np.frombuffer(data, np.uint8)[None], start=start, count=count)
    except cv2.error:
        return []
    return [swapped(frame) for frame in found.frames] if done else []


def cv_encode(
    suffix: str, pixels: Array, words: Sequence[int] = (), carried: Mapping[str, bytes] | None = None
) -> bytes:
    """A file in memory. `words` are OpenCV's parameters; `carried` is metadata by OpenCV's names for its kinds."""
    with _quiet():
        if carried:
            kinds = [getattr(cv2, name) for name in carried]
            values = [np.frombuffer(value, np.uint8) for value in carried.values()]
            done, data = cv2.imencodeWithMetadata(suffix, swapped(pixels), kinds, values, list(words))
        else:
            done, data = cv2.imencode(suffix, swapped(pixels), list(words))
    if not done:
        raise RuntimeError(f"OpenCV cannot write {suffix} of {pixels.shape} {pixels.dtype}")
    return bytes(data)


def av_decode(name: str, data: bytes, options: dict[str, str] | None = None) -> av.VideoFrame:
    """The first picture of FFmpeg's decoder `name`. Raises Broken."""
    try:
        context = av.CodecContext.create(name, "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_count = 1
        context.options = options or {}
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.FFmpegError, MemoryError) as error:
        raise Broken("it cannot be decoded: it is damaged or cut short") from error
    if not frames:
        raise Broken("it holds no picture")
    return frames[0]


def av_encode(name: str, layout: str, planes: Sequence[Array], options: dict[str, str] | None = None) -> bytes:
    """A file in memory by FFmpeg's encoder `name`; `planes` are rows of whole pixels in the layout's byte order."""
    height, width = planes[0].shape[:2]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, layout
    context.time_base = Fraction(1)
    context.options = options or {}
    frame = av.VideoFrame(width, height, layout)
    for target, plane in zip(frame.planes, planes, strict=True):
        rows = np.ascontiguousarray(plane).view(np.uint8).reshape(height, -1)
        padded = np.zeros((height, target.line_size), np.uint8)
        padded[:, : rows.shape[1]] = rows
        target.update(padded.tobytes())
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def av_plane(frame: av.VideoFrame, number: int, dtype: np.dtype[np.generic] | str, channels: int = 1) -> Array:
    """Plane `number` as H W, or H W C, of `dtype`, without the padding of its rows."""
    plane = frame.planes[number]
    size = np.dtype(dtype).itemsize * channels
    rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width * size]
    pixels = np.ascontiguousarray(rows).view(dtype).reshape(frame.height, frame.width, channels)
    return pixels[..., 0] if channels == 1 else pixels
