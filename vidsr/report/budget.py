"""Pictures as WebP, within a number of bytes that is stated.

Parts worth a closer look are always without loss. Whole pictures are without loss where all of them fit; else they are
all coded with the same loss, which the page says, and the parts without loss lie over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..frames import Box
from .model import Picture, Shot

LOSSLESS = 101
"""The quality by which OpenCV means lossless WebP."""
LADDER = ((LOSSLESS, 1), (95, 1), (90, 1), (80, 1), (65, 1), (65, 2), (50, 3))
"""Qualities of WebP, and by how much whole pictures are shrunk: the first rung that fits is taken."""
LONGEST = 16383
"""Pixels of a side of a WebP at most."""
SURE = 1.5
"""By how much the bytes foreseen must exceed what is left before a way of coding is not tried at all."""
THUMB = 144
"""Height in pixels of the small pictures by which a shot is chosen."""


@dataclass(frozen=True)
class Coded:
    """The pictures of all shots as files of WebP, in the order of the shots and of their layers."""

    whole: tuple[tuple[bytes, ...], ...]
    crops: tuple[tuple[tuple[bytes, ...], ...], ...]
    """Of each shot, of each crop, of each layer."""
    thumbs: tuple[bytes, ...]
    words: str
    """How the pictures are kept, in a sentence."""


def webp(picture: Picture, quality: int = LOSSLESS) -> bytes:
    """A WebP file; `quality` 1 … 100 loses something, LOSSLESS nothing."""
    done, data = cv2.imencode(".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert done, f"a picture of {picture.shape} could not be coded"
    return bytes(data.tobytes())


def shrunk(picture: Picture, ratio: int) -> Picture:
    """The picture `ratio` times smaller, by the mean of what each pixel covers, and never too large for WebP."""
    height, width = picture.shape[:2]
    ratio = max(ratio, -(-max(height, width) // LONGEST))
    if ratio == 1:
        return picture
    size = (max(1, width // ratio), max(1, height // ratio))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def crop_of(picture: Picture, box: Box) -> Picture:
    """The part of `picture`, H W 3, that the box covers."""
    return np.ascontiguousarray(picture[box.top : box.bottom, box.left : box.right])


def code(shots: Sequence[Shot], limit: int) -> Coded:
    """All pictures of `shots`, in about `limit` bytes: more only where the parts without loss alone exceed it."""
    crops = tuple(
        tuple(tuple(webp(crop_of(layer, box)) for layer in shot.layers.values()) for box in shot.crops)
        for shot in shots
    )
    thumbs = tuple(_thumb(shot) for shot in shots)
    room = limit - sum(map(len, thumbs)) - sum(len(part) for shot in crops for row in shot for part in row)
    for quality, ratio in LADDER:
        last = (quality, ratio) == LADDER[-1]
        whole = _whole(shots, quality, ratio, None if last else room)
        if whole is not None:
            return Coded(whole, crops, thumbs, _words(quality, ratio))
    raise AssertionError("the last rung has no limit")


def _whole(shots: Sequence[Shot], quality: int, ratio: int, room: int | None) -> tuple[tuple[bytes, ...], ...] | None:
    """Every layer of every shot; None as soon as it is clear that they exceed `room` bytes.

    That is clear early from the middle of every picture, for coding 4K without loss takes seconds.
    """
    if room is not None and _foreseen(shots, quality, ratio) > SURE * room:
        return None
    coded: list[tuple[bytes, ...]] = []
    for shot in shots:
        coded.append(tuple(webp(shrunk(layer, ratio), quality) for layer in shot.layers.values()))
        if room is not None and sum(len(data) for layers in coded for data in layers) > room:
            return None
    return tuple(coded)


def _foreseen(shots: Sequence[Shot], quality: int, ratio: int) -> float:
    """Bytes that all layers will come to, about: as many for each pixel as the middle of each takes."""
    total = 0.0
    for shot in shots:
        for layer in shot.layers.values():
            height, width = layer.shape[:2]
            middle = Box(height * 3 // 8, width * 3 // 8, max(1, height * 5 // 8), max(1, width * 5 // 8))
            data = webp(shrunk(crop_of(layer, middle), ratio), quality)
            total += len(data) * height * width / middle.area
    return total


def _thumb(shot: Shot) -> bytes:
    picture = next(iter(shot.layers.values()))
    height, width = picture.shape[:2]
    size = (max(1, round(width * THUMB / height)), THUMB)
    return webp(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8), 80)


def _words(quality: int, ratio: int) -> str:
    if quality == LOSSLESS:
        return "All pictures are without loss."
    smaller = f" at 1/{ratio} of their size" if ratio > 1 else ""
    why = "to keep this page small; the close-ups are without loss"
    return f"Whole pictures are WebP of quality {quality}{smaller}, {why}."
