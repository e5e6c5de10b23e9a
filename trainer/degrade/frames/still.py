"""Each frame as a JPEG or WebP picture, whose quality wanders."""

from __future__ import annotations

import cv2
import numpy as np

from ..pixels import Clip, Frame
from ..step_options import Still
from ..walk import chance, walk

_KEYS = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}


def still(clip: Clip, options: Still, rng: np.random.Generator) -> Clip:
    """Encoded and decoded in memory by OpenCV (libjpeg-turbo, libwebp)."""
    suffix = ".webp" if chance(rng, options.webp) else ".jpg"
    qualities = walk(rng, options.quality, options.walk, len(clip))
    return np.stack([_coded(frame, suffix, round(quality)) for frame, quality in zip(clip, qualities, strict=True)])


def _coded(frame: Frame, suffix: str, quality: int) -> Frame:
    _, data = cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), (_KEYS[suffix], quality))
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # our own bytes
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
