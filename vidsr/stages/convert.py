"""4. Planes to RGB on the device."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

import torch

from ..frames import Batch, Orientation, RawFrame, Work
from ..runtime.planes import ToRGB, orient


def to_rgb(works: Iterable[Work], converter: ToRGB, orientation: Orientation, device: torch.device) -> Iterator[Batch]:
    """A batch of one for each picture: 1 3 H W float32 RGB, upright; a held picture is not converted at all.

    Planes go to the device as they are: 1.5 bytes per pixel of 8-bit 4:2:0 cross the bus, not 12 of RGB.
    """
    for work in works:
        if work.held:
            yield Batch((work.frame,), (-1,), None)
        else:
            rgb = converter(_upload(work.frame, device))
            yield Batch((work.frame,), (0,), orient(rgb, orientation))


def _upload(frame: RawFrame, device: torch.device) -> tuple[torch.Tensor, ...]:
    """The planes as 1 H W and 1 h w tensors on the device."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # we only read it
        return tuple(torch.from_numpy(plane).unsqueeze(0).to(device, non_blocking=True) for plane in frame.planes)
