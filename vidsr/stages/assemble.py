"""8. RGB at its final size, to planes, and those to where the encoder reads them: the host, or the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ..frames import Batch, Box, RawFrame, UpscaledFrame
from ..runtime.planes import FromRGB, resample, resample_part
from ..runtime.transfer import Downloader, Tensors


def to_planes(
    batches: Iterable[Batch],
    converter: FromRGB,
    size: tuple[int, int],
    padded: tuple[int, int],
    downloader: Downloader,
    surfaces: bool = False,
) -> Iterator[UpscaledFrame]:
    """Every picture of the batches with its own pts; held pictures share the planes of the one they repeat.

    `size` is the final (width, height); `padded` the one the encoder gets, up to a pixel or so larger where its pixel
    format needs even sides; the edge is repeated there. With `surfaces` the planes stay on the device, as the
    encoder's hardware reads them.
    """
    finished = _finished(batches, _Finish(converter, size, padded))
    if surfaces:
        for frame, surface in downloader.surfaces(finished, converter.layout.depth):
            yield UpscaledFrame(surface, frame.pts, frame.duration)
    else:
        for frame, planes in downloader.downloaded(finished):
            yield UpscaledFrame(planes, frame.pts, frame.duration)


def _finished(batches: Iterable[Batch], finish: _Finish) -> Iterator[tuple[RawFrame, Tensors | None]]:
    """Every picture with its planes on the device; None for the planes of the picture before."""
    for batch in batches:
        done = [] if batch.rgb is None else finish(batch.rgb, batch.boxes)
        for frame, row, before in zip(batch.frames, batch.rows, (-1, *batch.rows), strict=False):
            yield frame, None if row == before else done[row]


class _Finish:
    """From the network's RGB to planes. Where it is said what may differ from the picture before, only that is made
    anew and the rest copied, to the same codes; a picture that was handed out is never changed.
    """

    def __init__(self, converter: FromRGB, size: tuple[int, int], padded: tuple[int, int]) -> None:
        self.converter, self.size, self.padded = converter, size, padded
        self._rgb: Tensor | None = None
        self._shown: Tensors = ()

    def __call__(self, rgb: Tensor, boxes: tuple[Box, ...] | None) -> list[Tensors]:
        """The planes of every row of N 3 sH sW."""
        ratio = rgb.shape[-1] // self.size[0]
        exact = rgb.shape[-2:] == (self.size[1] * ratio, self.size[0] * ratio) and self.size == self.padded
        if boxes is None or self._rgb is None or not exact:
            done = [self._whole(row) for row in torch.split(rgb, 1)]
        else:
            done = [self._patched(self._rgb, rgb, boxes, ratio)]
        self._shown = done[-1]
        return done

    def _whole(self, rgb: Tensor) -> Tensors:
        """1 3 sH sW RGB to planes of the padded size, H W and h w."""
        rgb = self._rgb = resample(rgb, self.size[1], self.size[0])
        right, down = self.padded[0] - self.size[0], self.padded[1] - self.size[1]
        if right or down:
            rgb = functional.pad(rgb, (0, right, 0, down), mode="replicate")
        return tuple(plane[0] for plane in self.converter(rgb))

    def _patched(self, final: Tensor, rgb: Tensor, boxes: tuple[Box, ...], ratio: int) -> Tensors:
        """Copies of the last planes with the `boxes` made anew; `final` is the last picture at its final size."""
        if ratio > 1:
            boxes = tuple(resample_part(final, rgb, box, ratio) for box in boxes)
        planes = tuple(plane.clone() for plane in self._shown)
        for box in boxes:
            for plane, (place, codes) in zip(
                planes, self.converter.part(final if ratio > 1 else rgb, box), strict=True
            ):
                place.of(plane).copy_(codes[0])
        return planes
