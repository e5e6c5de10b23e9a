"""Exact incremental inference: of each layer, only the tiles that a change since the last frame can reach.

The activations of the last frame are kept. A rectangle of a layer is computed from its neighbours' kept activations
and put back, so that no margin is computed twice. The result equals that of the whole frame bit for bit, because a
convolution of this library gives a pixel the same value whatever rectangle it is computed in; `is_exact` proves that
on the machine at hand. (DeltaCNN, M. Parger et al., CVPR 2022, with a threshold of zero.)
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from ..frames import Box
from .layered import Layered
from .layers import new_buffer, window
from .regions import distances, rectangles

WHOLE = 0.9
"""Share of the cost of a whole frame from which the whole frame is computed instead."""

CALL = 500
"""Pixels that could be computed in the time that starting on a rectangle takes."""

KEPT = 2
"""Whole frames in a row whose activations are kept. Where everything moves, keeping them costs 5 % and is of no use;
the first frame that could use them is then computed as a whole, once."""


class Incremental:
    """Runs `layered` on a film, frame after frame.

    The activations in front of every `every`-th layer are kept; with 1 nothing is computed twice, with more the
    layers in between are computed on a margin, for less memory.
    """

    reuses = True

    def __init__(self, layered: Layered, every: int = 1) -> None:
        self.layered = layered
        self.cuts = [*range(0, len(layered.layers), every), len(layered.layers)]
        self.share = 1.0
        """Part of a whole frame's work that the last update did."""
        self.reset()

    def reset(self) -> None:
        """Forget the last frame, and give its memory back."""
        self._before: Tensor | None = None
        self._buffers: dict[int, Tensor] = {}
        self._out = torch.empty(0)
        self._wholes = 0
        """Whole frames in a row so far."""

    def nbytes(self, height: int, width: int) -> int:
        """Bytes kept from one frame of this size to the next: activations, the source twice, the result."""
        last = self.layered.layers[-1]
        activations = (len(self.cuts) - 2) * last.inputs * last.dtype.itemsize + 3 * 4
        return activations * (height + 2) * (width + 2) + 3 * 4 * height * width * (1 + self.layered.scale**2)

    def __call__(self, rgb: Tensor) -> Tensor:
        """N 3 H W to N 3 sH sW, all of it, without regard to what is kept."""
        self.share = 1.0
        return self.layered(rgb)

    @torch.inference_mode()
    def update(self, rgb: Tensor) -> tuple[Tensor, tuple[Box, ...] | None]:
        """The next frame, 1 3 H W float32, to 1 3 sH sW float32, and the boxes in it outside of which nothing differs
        from the last result; None stands for everywhere.

        The result is the same tensor at every call of one size, changed in place. `rgb` must not be changed later.
        """
        before, self._before = self._before, rgb
        if before is None or before.shape != rgb.shape:
            return self._start(rgb), None
        near = distances((rgb != before).any(1)[0].numpy())
        height, width = rgb.shape[-2:]
        plan = [rectangles(near <= last, height, width) for last in self.cuts[1:]]
        whole = [[Box(0, 0, height, width)]] * len(plan)
        self.share = self._work(plan) / self._work(whole)
        if self._work(plan, CALL) > WHOLE * self._work(whole):
            return self._whole(rgb, keep=self._wholes < KEPT), None
        if self._wholes > KEPT and any(plan):  # what is kept is of an older frame
            self._wholes = 0
            return self._whole(rgb, keep=True), None
        if any(plan):
            self._wholes = 0
            self._patch(rgb[0], plan)
        return self._out, tuple(box.times(self.layered.scale) for box in plan[-1])

    def _start(self, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[-2:]
        self.reset()
        self._before = rgb
        layers = [self.layered.layers[number] for number in self.cuts[:-1]]
        buffers = (new_buffer(height, width, layer.inputs, layer.dtype) for layer in layers)
        self._buffers = dict(zip(self.cuts, buffers, strict=False))
        self._out = torch.empty(1, 3, height * self.layered.scale, width * self.layered.scale)
        return self._whole(rgb, keep=True)

    def _whole(self, rgb: Tensor, *, keep: bool) -> Tensor:
        self.share = 1.0
        self._wholes += 1
        self.layered.whole(rgb[0], self._out[0], self._buffers if keep else {})
        return self._out

    def _patch(self, rgb: Tensor, plan: list[list[Box]]) -> None:
        window(self._buffers[0], Box(0, 0, *rgb.shape[-2:]), 0).copy_(rgb.permute(1, 2, 0))
        for (first, last), boxes in zip(pairwise(self.cuts), plan, strict=True):
            for box in boxes:
                self.layered.part(first, last, box, rgb, self._out[0], self._buffers)

    def _work(self, plan: list[list[Box]], call: int = 0) -> int:
        """Of the groups of layers at their boxes: products of pixels, inputs and outputs, `call` pixels more a box."""
        weights = [layer.inputs * layer.outputs for layer in self.layered.layers]
        groups = zip(pairwise(self.cuts), plan, strict=True)
        return sum(sum(weights[first:last]) * sum(box.area + call for box in boxes) for (first, last), boxes in groups)


def is_exact(layered: Layered) -> bool:
    """Whether this machine gives a pixel the same value in a small rectangle as in the whole frame.

    Tried on frames of noise that differ in one pixel: in a corner, at an edge and inside.
    """
    frames = torch.rand(4, 3, 88, 136, generator=torch.Generator().manual_seed(0))
    for frame, (row, column) in zip(frames[1:], ((0, 0), (87, 70), (30, 101)), strict=True):
        frame.copy_(frames[0])
        frame[1, row, column] = 0.5
    trial = Incremental(layered)
    return all(torch.equal(trial.update(frame)[0], layered(frame)) for frame in torch.split(frames, 1))


def fitting(layered: Layered, height: int, width: int, budget: int) -> Incremental | None:
    """The fastest that keeps its frames of `height` by `width` in at most `budget` bytes; None when none does."""
    for every in range(1, len(layered.layers) + 1):
        incremental = Incremental(layered, every)
        if incremental.nbytes(height, width) <= budget:
            return incremental
    return None
