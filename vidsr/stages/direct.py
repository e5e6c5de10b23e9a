"""4 to 8 at once, where the kernels of the device take planes and give planes: no RGB is ever written for a frame.

Nothing waits for the device but the download of a frame that is about to be handed out, some frames behind. So a frame
that turns out to be bad is seen late: it and those after it, which are still remembered, are then done the usual way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import DeviceError
from ..events import Emit, FellBack
from ..frames import DevicePicture, RawFrame, UpscaledFrame, Work
from ..runtime.fused import Fused
from ..runtime.planes import ToRGB
from ..runtime.surfaces import surface
from ..runtime.transfer import Downloader, Planes, Tensors, Uploader

Usual = Callable[[Iterable[Work]], Iterator[UpscaledFrame]]
"""The stages one by one, for what cannot be done at once. Starts anew: it needs no frame from before."""


class Judge(Protocol):
    """Who decides whether a fast precision is good enough: `stages.infer.Inference`."""

    def trusted(self, rgb: Tensor) -> bool:
        """Whether it is for the first frame, 1 3 H W RGB; if not, `usual` will use another."""
        ...

    def distrust(self) -> None:
        """A value was not finite: `usual` must use another."""
        ...


class Direct:
    """`fused`, bound to its layouts, at work on one film.

    `usual` takes over when the precision is not enough, when a value was not finite, and when memory runs out. With a
    `surface_depth`, in bits, finished planes stay on the device as the two of NV12 or P010, for an encoder there.
    """

    def __init__(
        self,
        fused: Fused,
        to_rgb: ToRGB,
        reuse: bool,
        usual: Usual,
        judge: Judge,
        emit: Emit,
        surface_depth: int | None = None,
    ) -> None:
        self.fused, self.to_rgb, self.reuse, self.usual = fused, to_rgb, reuse, usual
        self.judge, self.emit, self.surface_depth = judge, emit, surface_depth
        self.kept = 0
        """Bytes that are kept from one frame to the next."""
        self._work = torch.zeros((), device=fused.device)

    @property
    def work(self) -> float:
        """What was computed so far, in whole frames. Waits for the device."""
        return float(self._work)

    def frames(self, works: Iterable[Work]) -> Iterator[UpscaledFrame]:
        """Every picture with its own pts, in order; held pictures share the planes of the one they repeat."""
        works, begun = iter(works), deque[Work]()
        try:
            for (frame, kept), (*fetched, bad) in self._line(works, begun):
                if bad[0]:
                    self.judge.distrust()
                    break
                begun.popleft()
                yield UpscaledFrame(kept or tuple(fetched), frame.pts, frame.duration)
            else:
                return
        except _Distrusted:
            pass
        except torch.OutOfMemoryError:
            self.emit(FellBack("fused planes", "tiles", "out of memory: whole frames on the device -> tiles"))
        yield from self.usual(chain(begun, works))

    def _line(self, works: Iterator[Work], begun: deque[Work]) -> Iterator[tuple[tuple[RawFrame, Tensors], Planes]]:
        """Up, through the network, down; what stays on the device goes along with the frame, finished.

        The last plane that comes down says whether a value of the frame was not finite.
        """

        def sources() -> Iterator[tuple[RawFrame, Planes | DevicePicture | None]]:
            for work in works:
                begun.append(work)
                yield work.frame, None if work.held else work.frame.planes

        def computed(pairs: Iterable[tuple[RawFrame, Tensors | None]]) -> Iterator[tuple[Any, Tensors | None]]:
            kept: Tensors = ()
            for number, (frame, planes) in enumerate(pairs):
                if number == 0 and planes is not None and not self.judge.trusted(self.to_rgb(planes)):
                    raise _Distrusted
                fetched = None
                if planes is not None:
                    kept, fetched = self._run(planes)
                yield (frame, kept), fetched

        device = self.fused.device
        return Downloader(device).downloaded(computed(Uploader(device).uploaded(sources())))

    def _run(self, planes: Tensors) -> tuple[Tensors, Tensors]:
        """What stays on the device, and what is fetched: the finished planes, H W and h w, or their surface; the flag.

        All are copies, since the next frame is patched into what `fused` gives.
        """
        self.kept = self.fused.cache_bytes(*planes[0].shape[-2:]) if self.reuse else 0
        try:
            done = self.fused.planes(tuple(plane[0] for plane in planes), reuse=self.reuse)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise DeviceError(f"the device {self.fused.device} failed: {str(error).splitlines()[0]}") from error
        self._work += self.fused.share
        bad = self.fused.bad.clone()
        if self.surface_depth:
            return surface(done, self.surface_depth), (bad,)
        return (), (*(plane.clone() for plane in done), bad)


class _Distrusted(Exception):
    """The precision is not enough for the first frame."""
