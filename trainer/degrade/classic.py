"""The second-order degradation of Real-ESRGAN, on the device. READ `chain` FIRST: it is all steps in their order.

Source: X. Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", 2021.
Against the reference everything may be drawn per sample, and filters go through an FFT.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from vidsr.errors import UsageError

from ..sample import Key
from .canvas import Canvas, Size, full_precision
from .draws import Draw, draw_all
from .filters import Usm, blur
from .jpeg import compress
from .noise import Fields, NoiseDraw, SeededFields, add_noise
from .options import Classic
from .resize import Resampling, resize

StepName = Literal[
    "first blur", "first resize", "first noise", "first JPEG", "second blur", "second resize", "second noise",
    "early JPEG", "final resize", "sinc filter", "late JPEG",
]  # fmt: skip
Step = Callable[[Canvas], Canvas]
FieldsOf = Callable[[NoiseDraw, torch.device], Fields]
Noises = Sequence[tuple[NoiseDraw, Fields] | None]

BUCKET = 256
"""Pixels: on a GPU, samples whose first resize leads to the same multiple of it share a canvas."""


def chain(draws: Sequence[Draw], first_noise: Noises, second_noise: Noises, small: Size) -> dict[StepName, Step]:
    """The steps from ground truth to low-resolution pictures of `small` height and width, in their order.

    A sample's second JPEG is the early or the late one. The second resize goes to a part of the final size.
    """
    first, second = [draw.first for draw in draws], [draw.second for draw in draws]
    halfway = [(max(1, int(small[0] * s.factor)), max(1, int(small[1] * s.factor))) for s in second]
    resamplings = [Resampling(s.mode, size=size) for s, size in zip(second, halfway, strict=True)]
    return {
        "first blur": partial(blur, kernels=[s.kernel for s in first]),
        "first resize": partial(resize, targets=[Resampling(s.mode, factor=s.factor) for s in first]),
        "first noise": partial(add_noise, noises=first_noise),
        "first JPEG": partial(compress, qualities=[s.quality for s in first]),
        "second blur": partial(blur, kernels=[s.kernel for s in second]),
        "second resize": partial(resize, targets=resamplings),
        "second noise": partial(add_noise, noises=second_noise),
        "early JPEG": partial(compress, qualities=[None if d.jpeg_last else d.second.quality for d in draws]),
        "final resize": partial(resize, targets=[Resampling(d.mode, size=small) for d in draws]),
        "sinc filter": partial(blur, kernels=[d.sinc for d in draws]),
        "late JPEG": partial(compress, qualities=[d.second.quality if d.jpeg_last else None for d in draws]),
    }


class Degrader:
    """Makes low-resolution pictures from good ones, for networks of scale `scale`.

    On a CPU every sample is computed by itself, so its bytes depend on its key alone. On a GPU samples share calls:
    the same batch gives the same bytes, but in another batch a sample may differ where a coefficient of JPEG lies
    within float error of the middle between two codes. `draws="batch"` ties samples together by its nature.
    """

    def __init__(
        self, options: Classic, scale: int, device: torch.device | str = "cpu", *, fields: FieldsOf = SeededFields
    ) -> None:
        """Raises UsageError where `gt_size` is no multiple of `scale`."""
        if options.gt_size % scale:
            near = options.gt_size // scale * scale
            raise UsageError(f"degrade.gt_size {options.gt_size} is no multiple of scale {scale}", f"{near} would be")
        self._options, self._scale, self._device, self._fields = options, scale, torch.device(device), fields
        self._usm = Usm(options.sharpen)

    def __call__(self, gt: Tensor, keys: Sequence[Key]) -> tuple[Tensor, Tensor, Tensor]:
        """`degrade`, and the sharpened crop of the ground truth: (lq, gt, gt_usm)."""
        lq, gt = self.degrade(gt, keys)
        return lq, gt, self.sharpen(gt)

    def sharpen(self, gt: Tensor) -> Tensor:
        """Unsharp masking of pictures or clips, ... 3 H W float32 RGB in [0, 1], in and out."""
        with full_precision(self._device):
            return self._usm(gt.flatten(0, -4)).view_as(gt)

    def degrade(self, gt: Tensor, keys: Sequence[Key]) -> tuple[Tensor, Tensor]:
        """(lq, gt), both cropped: lq in multiples of 1/255 with sides of gt_size / scale, gt with sides of gt_size.

        `gt` is N 3 H W float32 RGB in [0, 1] on the device, or N T 3 H W: a clip has one draw for all its frames and
        fresh noise in each. `keys` name the N samples. Raises UsageError where pictures are smaller than the crop or
        their sides no multiples of the scale.
        """
        self._check(gt)
        clips = gt if gt.dim() == 5 else gt[:, None]
        draws = draw_all(self._options, keys)
        pairs: dict[int, tuple[Tensor, Tensor]] = {}
        with full_precision(self._device):
            for group in self._groups(draws, max(gt.shape[-2:])):
                lq = self._degraded(clips[group], [draws[number] for number in group])
                for number, made in zip(group, lq, strict=True):
                    pairs[number] = self._cropped(made, clips[number], draws[number].crop)
        small, large = (torch.stack([pairs[number][side] for number in range(len(draws))]) for side in (0, 1))
        return (small, large) if clips is gt else (small.flatten(0, 1), large.flatten(0, 1))

    def _check(self, gt: Tensor) -> None:
        height, width = gt.shape[-2:]
        size, scale = self._options.gt_size, self._scale
        if min(height, width) < size or height % scale or width % scale:
            raise UsageError(
                f"ground truth of {width}x{height} cannot be degraded to crops of {size}x{size}: its sides must be at "
                f"least that, and multiples of scale {scale}",
                "set gt_size of the data above degrade.gt_size; the reference has 400 and 256",
            )

    def _groups(self, draws: Sequence[Draw], side: int) -> list[list[int]]:
        """Which samples are computed together."""
        if self._device.type == "cpu":
            return [[number] for number in range(len(draws))]
        groups = defaultdict(list)
        for number, draw in enumerate(draws):
            groups[int(side * draw.first.factor) // BUCKET].append(number)
        return list(groups.values())

    def _degraded(self, clips: Tensor, draws: Sequence[Draw]) -> Tensor:
        """N T 3 H W to N T 3 h w: the chain, and rounding to 8 bits."""
        frames = clips.shape[1]
        canvas = Canvas.of(self._source(clips.flatten(0, 1)))
        for step in self.steps(draws, frames, clips.shape[-2:]).values():
            canvas = step(canvas)
        lq = (canvas.pixels * 255).round().clamp(0, 255) / 255
        return lq.view(-1, frames, *lq.shape[1:])

    def _source(self, pixels: Tensor) -> Tensor:
        return self._usm(pixels) if self._options.from_sharpened else pixels

    def steps(self, draws: Sequence[Draw], frames: int, size: Sequence[int]) -> dict[StepName, Step]:
        """`chain` for clips of so many frames and that height and width, with random pixels on the device."""
        small = size[0] // self._scale, size[1] // self._scale
        first = self._noises([draw.first.noise for draw in draws], frames)
        second = self._noises([draw.second.noise for draw in draws], frames)
        return chain([draw for draw in draws for _ in range(frames)], first, second, small)

    def _noises(self, draws: Sequence[NoiseDraw | None], frames: int) -> Noises:
        """A draw and a source of random pixels for each frame; the frames of a clip share theirs."""
        sources = [(draw, self._fields(draw, self._device)) if draw else None for draw in draws]
        return [source for source in sources for _ in range(frames)]

    def _cropped(self, lq: Tensor, gt: Tensor, place: tuple[float, float]) -> tuple[Tensor, Tensor]:
        """The same window of both, on whole pixels of `lq`."""
        size = self._options.gt_size // self._scale
        rooms = (lq.shape[-2] - size + 1, lq.shape[-1] - size + 1)
        top, left = (int(part * room) for part, room in zip(place, rooms, strict=True))
        window = lq[..., top : top + size, left : left + size]
        top, left, size = top * self._scale, left * self._scale, self._options.gt_size
        return window, gt[..., top : top + size, left : left + size]
