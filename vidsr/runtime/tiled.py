"""A network on frames cut into tiles: equal tiles together, soft seams where they must be, unchanged tiles kept.

A tile whose whole field of view equals that of the last frame has the same result, whatever the network is. That is
exact on every device as long as a tile keeps its shape. On a CPU, where a pixel's value does not depend on the shape it
is computed in, the whole frame gives way to the rectangles that a change can reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby, islice

import torch
from torch import Tensor

from ..frames import Box, Tile
from ..models.descriptor import Descriptor
from .regions import Mask, distances, rectangles

Run = Callable[[Tensor], Tensor]
"""N 3 H W to N 3 sH sW, any H and W."""


class Tiled:
    """`run` over `cut`, the tiles of all frames, up to `together` of equal size at once.

    `ramp` is the number of input pixels on both sides of a seam over which two tiles are mixed: 0 where they agree.
    `free` says that a rectangle of any shape gives the values of the whole frame.
    """

    def __init__(self, run: Run, cut: list[Tile], network: Descriptor, together: int, ramp: int, free: bool) -> None:
        self.run, self.cut, self.together, self.ramp, self.free = run, cut, together, ramp, free
        self.reuses = free or len(cut) > 1
        """Whether `update` can spare work when a part of a frame changes."""
        self.scale, self.reach, self.multiple = network.scale, network.receptive_field, network.multiple_of
        self.share = 1.0
        """Part of a whole frame's work that the last update did."""
        self.reset()

    def reset(self) -> None:
        """Forget the last frame, and give its memory back."""
        self._before: Tensor | None = None
        self._out = torch.empty(0)
        self._results: dict[Tile, Tensor] = {}

    def nbytes(self, height: int, width: int) -> int:
        """Bytes kept from one frame of this size to the next: the source, the result, and the tiles of soft seams."""
        parts = sum(self._kept(tile, height, width).area for tile in self.cut) if self.ramp else 0
        return 3 * 4 * (height * width + (height * width + parts) * self.scale**2) if self.reuses else 0

    def __call__(self, rgb: Tensor) -> Tensor:
        """N 3 H W to N 3 sH sW, every tile of it, without regard to what was kept."""
        self.share = 1.0
        cut = self.cut
        if len(cut) == 1:
            return self.run(rgb)
        out = self._empty(rgb)
        if self.ramp:
            for frame, single in zip(out, torch.split(rgb, 1), strict=True):
                self._mix(frame, dict(self._computed(single, cut)))
        else:
            self._place(out, rgb, cut)
        return out

    def update(self, rgb: Tensor) -> tuple[Tensor, tuple[Box, ...] | None]:
        """The next frame, 1 3 H W float32, to 1 3 sH sW float32, and the boxes in it outside of which nothing differs
        from the last result; None stands for everywhere.

        The result is the same tensor at every call of one size, changed in place. `rgb` must not be changed later.
        """
        before, self._before = self._before, rgb
        cut = self.cut
        if before is None or before.shape != rgb.shape:
            self._out, self._results, stale = self._empty(rgb), {}, cut
        else:
            stale = self._stale((rgb != before).any(1)[0].cpu().numpy())
        self.share = sum(tile.padded.area for tile in stale) / sum(tile.padded.area for tile in cut)
        if self.ramp:
            self._results |= self._computed(rgb, stale)
            self._mix(self._out[0], self._results)
        else:
            self._place(self._out, rgb, stale)
        if stale == cut:
            return self._out, None
        return self._out, tuple(self._kept(tile, *rgb.shape[-2:]).times(self.scale) for tile in stale)

    def _empty(self, rgb: Tensor) -> Tensor:
        n, _, height, width = rgb.shape
        return torch.empty((n, 3, height * self.scale, width * self.scale), dtype=torch.float32, device=rgb.device)

    def _stale(self, changed: Mask) -> list[Tile]:
        """The tiles whose field of view changed; where shapes are free, the rectangles that the change can reach."""
        cut = self.cut
        if len(cut) > 1 or not self.free:
            seen = ((tile, tile.padded) for tile in cut)
            return [tile for tile, box in seen if changed[box.top : box.bottom, box.left : box.right].any()]
        (frame,) = cut
        reached = distances(changed) <= self.reach
        if not reached.any():
            return []
        apart = [self._around(box, frame.core) for box in rectangles(reached, *changed.shape)]
        choices = [apart, [self._around(_hull(apart), frame.core)], cut]
        return min(choices, key=lambda tiles: sum(tile.padded.area for tile in tiles))

    def _around(self, core: Box, frame: Box) -> Tile:
        """The tile with this core that sees all that the core depends on, and starts where the size rule allows."""
        seen = core.grown(self.reach, frame)
        top, left = seen.top // self.multiple * self.multiple, seen.left // self.multiple * self.multiple
        return Tile(core, Box(top, left, seen.bottom, seen.right))

    def _computed(self, rgb: Tensor, tiles: list[Tile]) -> Iterator[tuple[Tile, Tensor]]:
        """Each tile of the one frame of `rgb` with 1 3 sh sw: what `run` makes of it, at the part that is kept."""
        size = lambda tile: (tile.padded.height, tile.padded.width)  # noqa: E731
        for _, equal in groupby(sorted(tiles, key=size), key=size):
            while some := list(islice(equal, self.together)):
                results = self.run(torch.cat([tile.padded.of(rgb) for tile in some]))
                for tile, result in zip(some, torch.split(results, 1), strict=True):
                    part = self._kept(tile, *rgb.shape[-2:]).within(tile.padded).times(self.scale).of(result)
                    yield tile, part.clone() if self.ramp else part  # which are mixed when `run` has gone on

    def _kept(self, tile: Tile, height: int, width: int) -> Box:
        """The part of a tile that the frame is made from: its core, and half of each soft seam."""
        return tile.core.grown(self.ramp, Box(0, 0, height, width))

    def _place(self, out: Tensor, rgb: Tensor, tiles: list[Tile]) -> None:
        """Hard seams: every core in its place, row by row of the batch."""
        for target, frame in zip(torch.split(out, 1), torch.split(rgb, 1), strict=True):
            for tile, result in self._computed(frame, tiles):
                tile.core.times(self.scale).of(target).copy_(result)

    def _mix(self, out: Tensor, results: Mapping[Tile, Tensor]) -> None:
        """Soft seams: the sum of all tiles, each fading out where its neighbour fades in; always in the same order."""
        out.zero_()
        frame = Box(0, 0, out.shape[-2] // self.scale, out.shape[-1] // self.scale)
        for tile in self.cut:
            place = tile.core.grown(self.ramp, frame).times(self.scale)
            core, ramp = tile.core.times(self.scale), self.ramp * self.scale
            down = _fade(place.top, place.bottom, core.top, core.bottom, out.shape[-2], ramp)
            across = _fade(place.left, place.right, core.left, core.right, out.shape[-1], ramp)
            weight = (down[:, None] * across).to(out.device)
            place.of(out).addcmul_(results[tile][0], weight)


def _fade(first: int, last: int, start: int, stop: int, end: int, ramp: int) -> Tensor:
    """Weights of the pixels first … last-1: 1 in the core start … stop, falling to 0 over `ramp` pixels beyond and
    before each of its ends but those of the frame, 0 and `end`."""
    places = torch.arange(first, last) + 0.5
    weight = torch.ones(last - first)
    if start > 0:
        weight = weight.minimum((places - (start - ramp)) / (2 * ramp))
    if stop < end:
        weight = weight.minimum((stop + ramp - places) / (2 * ramp))
    return weight


def _hull(tiles: list[Tile]) -> Box:
    cores = [tile.core for tile in tiles]
    return Box(
        min(box.top for box in cores),
        min(box.left for box in cores),
        max(box.bottom for box in cores),
        max(box.right for box in cores),
    )
