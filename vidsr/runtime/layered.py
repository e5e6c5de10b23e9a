"""A plain stack of convolutions run on a CPU layer by layer, in bands of rows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..frames import Box
from ..models.archs.compact import SRVGGNetCompact
from ..models.descriptor import Descriptor
from . import heap
from .device import DTYPES
from .eager import converted
from .interface import Check
from .layers import Layer, put_details, run_stack, stack, window
from .regions import bands

BAND = 57600
"""Pixels computed at a time: 64 bf16 channels of them take 7.4 MB."""

LARGE_BAND = 1 << 20
"""The same where freed memory stays with the process: then large blocks cost nothing, and every band costs some."""


class Layered:
    """A SRVGGNetCompact as a `Runtime`. No feature map is larger than a band: see `BAND` and `LARGE_BAND`."""

    name = "layered"

    def __init__(
        self, descriptor: Descriptor, device: torch.device, precision: str, check: Check | None = None
    ) -> None:
        network = converted(descriptor.network, DTYPES[precision])
        assert isinstance(network, SRVGGNetCompact)
        self.precision, self.device, self.scale = precision, device, network.scale
        self.layers = stack(network)
        self.check = check or (lambda: None)
        self._out = torch.empty(0)

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        shape = (len(rgb), 3, rgb.shape[-2] * self.scale, rgb.shape[-1] * self.scale)
        if self._out.shape != shape:
            self._out = torch.empty(shape)
        for frame, target in zip(rgb, self._out, strict=True):
            self.whole(frame, target, {})
        return self._out

    def whole(self, rgb: Tensor, out: Tensor, buffers: Mapping[int, Tensor]) -> None:
        """3 H W to 3 sH sW. What stands in front of a layer is put into its buffer, if `buffers` has one for it.

        A band of rows goes through all layers before the next one begins. A layer gives one row less than it got, as
        the row below is not there yet, and remembers the last two it got for the next band.
        """
        height, width = rgb.shape[-2:]
        bands = [Rows(layer, width) for layer in self.layers]
        step = max(1, _band() // width)
        for top in range(0, height, step):
            rows = rgb[:, top : top + step].permute(1, 2, 0)
            last = top + step >= height
            for number, band in enumerate(bands):
                self.check()
                if number in buffers:
                    window(buffers[number], Box(band.got, 0, band.got + len(rows), width), 0).copy_(rows)
                rows = band(rows, last)
            made = bands[-1].given
            put_details(out, rows, rgb, Box(made - len(rows), 0, made, width), self.scale)

    def part(self, first: int, last: int, box: Box, rgb: Tensor, out: Tensor, buffers: Mapping[int, Tensor]) -> None:
        """Layers `first` to `last` - 1 at `box`, from the buffer in front of them to the one behind, or to `out`."""
        frame = Box(0, 0, *rgb.shape[-2:])
        for band in bands(box, _band()):
            self.check()
            result = run_stack(self.layers[first:last], buffers[first], band, frame)
            if last < len(self.layers):
                window(buffers[last], band, 0).copy_(result)
            else:
                put_details(out, result, rgb, band, self.scale)


def _band() -> int:
    return LARGE_BAND if heap.is_kept() else BAND


class Rows:
    """One layer, given the rows of a frame from top to bottom."""

    def __init__(self, layer: Layer, width: int) -> None:
        self.layer = layer
        self.got = 0
        """Rows given to it so far."""
        self.given = 0
        """Rows it gave so far."""
        self._above = torch.zeros(1, width, layer.inputs, dtype=layer.dtype)  # the padding

    def __call__(self, rows: Tensor, last: bool) -> Tensor:
        """The next rows, h w C, to those of the result that can be computed by now, h' w F; all if these are the
        `last`.
        """
        self.got += len(rows)
        if last and self.got == len(rows):
            made = self.layer(rows.to(self.layer.dtype).contiguous(), padding=(1, 1))
        else:
            made = self._joined(rows, last)
        self.given += len(made)
        return made

    def _joined(self, rows: Tensor, last: bool) -> Tensor:
        below = self._above.new_zeros(int(last), *self._above.shape[1:])
        seen = torch.cat([self._above, rows.to(self.layer.dtype), below])
        self._above = seen[-2:].clone()
        if len(seen) < 3:
            return seen.new_empty(0, seen.shape[1], self.layer.outputs)
        return self.layer(seen, padding=(0, 1))
