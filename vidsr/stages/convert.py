"""4. Planes to RGB on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..frames import Batch, Orientation, Work
from ..runtime.planes import ToRGB, orient, resample
from ..runtime.transfer import Uploader


def to_rgb(
    works: Iterable[Work], converter: ToRGB, orientation: Orientation, uploader: Uploader, size: tuple[int, int]
) -> Iterator[Batch]:
    """A batch of one for each picture: 1 3 H W float32 RGB, upright, resampled to `size`, (width, height), if it has
    another; a held picture is not converted at all.

    Planes go to the device as they are: 1.5 bytes per pixel of 8-bit 4:2:0 cross the bus, not 12 of RGB.
    """
    pairs = ((work, None if work.held else work.frame.planes) for work in works)
    for work, planes in uploader.uploaded(pairs):
        if planes is None:
            yield Batch((work.frame,), (-1,), None)
        else:
            yield Batch((work.frame,), (0,), resample(orient(converter(planes), orientation), size[1], size[0]))
