"""A picture that is a single aligned face: brought to the size of the networks and restored, not put anywhere."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..frames import ColorTags, PixelLayout
from ..media.alpha import resized_alpha
from ..media.arrays import Array, Kind
from ..runtime.arrays import FloatsFromRGB, FloatsToRGB
from ..runtime.planes import FromRGB, ToRGB
from .align import SIDE
from .enhance import FaceEnhancer

_TAGS = ColorTags(matrix=6, full_range=True)


def restored_portrait(image: Array, faces: FaceEnhancer, *, keep_alpha: bool = True) -> Array:
    """`image`, an array as `vidsr.Upscaler.enhance` takes it, as a restored face of 512 x 512, same kind and dtype.

    Raises UsageError for other arrays.
    """
    kind = Kind.of(image)
    kind.check(image)
    device = faces.restorer.device
    layout = PixelLayout("gray" if kind.is_gray else "rgb", 8 if kind.dtype == np.uint8 else 16)
    to_rgb = (FloatsToRGB if kind.is_float else ToRGB)(layout, _TAGS, device=device)
    from_rgb = (FloatsFromRGB if kind.is_float else FromRGB)(layout, _TAGS, device=device, dither=False)
    planes = tuple(torch.from_numpy(plane)[None].to(device) for plane in kind.colours(image))
    small = _resized(to_rgb(planes)[0].permute(1, 2, 0).cpu().numpy())
    face = torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1))).to(device)
    restored = faces.restorer(face[None], faces.choice.weight)
    parts = [plane[0].cpu().numpy() for plane in from_rgb(restored)]
    if kind.has_alpha and keep_alpha:
        parts.append(resized_alpha(kind.alpha(image), (SIDE, SIDE)))
    return kind.joined(tuple(parts))


def _resized(rgb: Array) -> Array:
    """H W 3 float32 to 512 512 3: bilinear as in the reference, the mean of the area where it becomes smaller."""
    smaller = min(rgb.shape[:2]) > SIDE
    return np.asarray(cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))
