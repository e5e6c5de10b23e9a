"""The transparency of a film: through the same stages as its colours, beside them, as a gray picture.

What is opaque, or anyhow the same all over a picture, needs no network and gets none. Everything else is done by the
runtime of the colours, by an `Inference` of its own, so that a change in one of them makes nothing of the other anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, tee
from typing import TYPE_CHECKING

import numpy as np

from .frames import ColorTags, PixelLayout, Plane, RawFrame, UpscaledFrame, Work
from .media.alpha import is_even, resized_alpha
from .runtime.fused import Fused
from .runtime.planes import FromRGB, ToRGB
from .runtime.transfer import Downloader, Uploader
from .stages.assemble import to_planes
from .stages.convert import to_rgb
from .stages.infer import Inference, clamped
from .stages.reuse import find_held
from .stages.tile import tiles

if TYPE_CHECKING:
    from .running import Run

Way = Callable[[Iterable[Work]], Iterator[UpscaledFrame]]

_TAGS = ColorTags(matrix=6, full_range=True)
"""The weights make no difference to gray but that of rounding; they are those of `Upscaler`."""


class Transparency:
    """The last plane of every picture of a run, upscaled beside the others."""

    def __init__(self, run: Run) -> None:
        self._run, plan = run, run.plan
        self._from = PixelLayout("gray", plan.source.layout.depth)
        self._to = PixelLayout("gray", plan.target.layout.depth)
        self.passes: list[Inference] = []
        """Every pass through the network, once there is something for it."""

    def beside(self, works: Iterable[Work], colours: Way) -> Iterator[UpscaledFrame]:
        """The pictures with `colours` made of all planes but the last, which is made here."""
        mode = "off" if self._run.plan.options.reuse == "off" else "exact"
        one, other = tee(works)
        first = find_held((_part(work, slice(-1)) for work in one), mode, self._run.plan.source.layout.colours)
        last = find_held((_part(work, slice(-1, None)) for work in other), mode, self._from)
        lanczos = self._run.plan.options.alpha_upsampler == "lanczos"
        alphas = self._resized(last) if lanczos else self._upscaled(last)
        pairs = zip(colours(first), alphas, strict=True)
        return (replace(picture, planes=(*picture.planes, alpha)) for picture, (alpha,) in pairs)

    def _upscaled(self, works: Iterable[Work]) -> Iterator[tuple[Plane, ...]]:
        """Through the network from the first picture on that needs it; later ones that do not ride along as held."""
        works = iter(works)
        for work in works:
            if not is_even(_plane(work)):
                break
            yield (self._even(work),)
        else:
            return
        evens: deque[Plane | None] = deque()

        def marked() -> Iterator[Work]:
            for each in chain([work], works):
                evens.append(self._even(each) if is_even(_plane(each)) else None)
                yield replace(each, held=each.held or evens[-1] is not None)

        for picture in self._stages(marked()):
            even, planes = evens.popleft(), picture.planes
            assert isinstance(planes[0], np.ndarray), "nothing asked for planes on the device"
            yield planes if even is None else (even,)

    def _stages(self, works: Iterable[Work]) -> Iterator[UpscaledFrame]:
        """What the pipeline does with colours, picture by picture: grouped, they would wait for others that change."""
        plan = self._run.plan
        device, size, padded = plan.engine.device, plan.size, (plan.target.width, plan.target.height)
        dither = self._to.depth < self._from.depth
        to_tensor = ToRGB(self._from, _TAGS, device=device)
        from_tensor = FromRGB(self._to, _TAGS, device=device, dither=dither)
        batches = to_rgb(works, to_tensor, plan.source.orientation, Uploader(device), plan.sizes.native)
        self.passes = self.passes or self._made()
        for number, inference in enumerate(self.passes):
            batches = inference.upscaled(clamped(batches) if number else batches)
        return to_planes(batches, from_tensor, size, padded, Downloader(device))

    def _made(self) -> list[Inference]:
        """All by the runtime that the colours have by now. What `Fused` keeps from frame to frame is theirs alone, but
        where it keeps it as planes.
        """
        run, runner = self._run, self._run.inference.runner
        shared = isinstance(runner, Fused) and run.direct is None
        engines = [
            replace(engine, reuse=engine.reuse and not shared, cache=engine.cache // 3) for engine in run.plan.engines
        ]
        tell, check = run.tally.emit, run.flow.cancel.check
        return [Inference(run.plan.network, engine, runner, tiles, tell, check, trusted=True) for engine in engines]

    def _resized(self, works: Iterable[Work]) -> Iterator[tuple[Plane, ...]]:
        """By Lanczos, on the host."""
        done: tuple[Plane, ...] = ()
        for work in works:
            if not (work.held and done):
                done = (self._even(work) if is_even(_plane(work)) else self._by_lanczos(_plane(work)),)
            yield done

    def _by_lanczos(self, plane: Plane) -> Plane:
        plan = self._run.plan
        across, down = plan.target.width - plan.size[0], plan.target.height - plan.size[1]
        turned, orientation = plane, plan.source.orientation
        turned = np.rot90(turned[:, ::-1] if orientation.mirror else turned, -orientation.turns)
        large = resized_alpha(np.ascontiguousarray(turned), plan.size, self._from.peak)
        return np.pad(self._recoded(large), ((0, down), (0, across)), mode="edge")

    def _even(self, work: Work) -> Plane:
        """The finished plane of one that is the same everywhere."""
        target = self._run.plan.target
        return np.full((target.height, target.width), self._recoded(_plane(work)[0, 0]), self._to.dtype)

    def _recoded(self, codes: Plane) -> Plane:
        """Codes of the depth that goes out; opaque stays opaque."""
        if self._from.depth == self._to.depth:
            return codes
        return np.rint(codes * np.float32(self._to.peak / self._from.peak)).astype(self._to.dtype)


def _plane(work: Work) -> Plane:
    planes = work.frame.planes
    assert isinstance(planes, tuple), "NVDEC gives no transparency"
    return planes[0]


def _part(work: Work, which: slice) -> RawFrame:
    """The frame with some of its planes."""
    planes = work.frame.planes
    assert isinstance(planes, tuple), "NVDEC gives no transparency"
    return replace(work.frame, planes=planes[which])
