"""7. The network: which way of running it, and what to do when memory runs out or numbers are no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import DeviceError
from ..events import Emit, FellBack, Notice
from ..frames import Batch, Box, Tile
from ..models.descriptor import Descriptor
from ..runtime.eager import Eager
from ..runtime.engine import Engine
from ..runtime.fused import Fused
from ..runtime.incremental import Incremental, fitting, is_exact
from ..runtime.interface import Check, Runtime
from ..runtime.layered import Layered
from ..runtime.layers import shapes_are_free
from ..runtime.tiled import Tiled
from ..runtime.trust import check_precision, fitted

SMALLEST_TILE = 32

Cut = Callable[[int, int, int, int, int], Iterable[Tile]]
"""(height, width, side, overlap, multiple) to the tiles that cover a frame: `stages.tile.tiles`."""

Result = tuple[Tensor, tuple[Box, ...] | None]
"""N 3 sH sW, and where it may differ from the result before, in its pixels; None stands for everywhere."""


Way = Incremental | Fused | Tiled
"""Takes a batch by a call and, where it `reuses`, the frames of a film by `update`; `share` is the work it did."""


class Inference:
    """A network at work on one film. It steps down by itself when memory runs out, and says so.

    `runner` runs the network as `engine` says; it is compared with float32 on the first frame unless it is `trusted`.
    `cut` is `stages.tile.tiles`.
    """

    def __init__(
        self,
        network: Descriptor,
        engine: Engine,
        runner: Runtime,
        cut: Cut,
        emit: Emit,
        check: Check | None = None,
        trusted: bool = False,
    ) -> None:
        self.network, self.engine, self.runner, self.cut, self.emit = network, engine, runner, cut, emit
        self.work = 0.0
        """What was computed so far, in whole frames."""
        self.kept = 0
        """Bytes that are kept from one frame to the next."""
        self._check = check
        self._tile, self._together, self._cache = engine.tile, engine.batch, engine.cache  # these shrink
        self._trusted = trusted
        self._way: Way | None = None
        self._size = (0, 0)

    @property
    def settled(self) -> Engine:
        """The engine as it is by now, after every step down."""
        asked, used = self.engine.runtime, self.runner.name
        runtime = asked if asked.partition(":")[0] == used else used  # with its provider
        engine = replace(self.engine, runtime=runtime, precision=self.runner.precision)
        return replace(engine, batch=self._together, tile=self._tile, cache=self._cache)

    def upscaled(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches with `rgb` s times larger, N 3 sH sW float32, every value finite, not clamped, and with `boxes`.

        The tensor of one batch may be changed in place for the next. Raises DeviceError when the smallest step does
        not fit in memory, or when float32 gives NaN too.
        """
        for batch in batches:
            yield batch if batch.rgb is None else self._checked(batch, batch.rgb)

    def _checked(self, batch: Batch, rgb: Tensor) -> Batch:
        """The first result is compared with float32, every result is looked at for NaN; what fails is done again."""
        out, boxes = self._computed(rgb)
        if not _is_finite(out, boxes):
            self.distrust()
            return self._checked(batch, rgb)
        if not self._trusted:
            self._trusted = True
            trusted = check_precision(self.runner, self.network, self._safe, rgb, out, self.emit)
            if trusted is not self.runner:
                self.runner, self._way = trusted, None
                return self._checked(batch, rgb)
        return replace(batch, rgb=out, boxes=boxes)

    def trusted(self, rgb: Tensor) -> bool:
        """Whether the runner may be trusted with the first frame, N 3 H W; float32 takes its place if not."""
        if self._trusted:
            return True
        self._trusted = True
        runner = check_precision(self.runner, self.network, self._safe, rgb, self.runner(rgb), self.emit)
        same = runner is self.runner
        self.runner, self._way = runner, None
        return same

    def _safe(self) -> Eager:
        return Eager(self.network, self.engine.device, "fp32", self._check)

    def distrust(self) -> None:
        """Take float32 from now on, because a value was not finite. Raises DeviceError when it was float32."""
        if self.runner.precision == "fp32" and self.runner.name in ("eager", "layered"):
            raise DeviceError(
                f"network {self.network.name} gives NaN or infinite values in float32",
                "the weights are damaged, or the device computes wrongly; --device cpu tells which",
            )
        used = f"{self.runner.name} {self.runner.precision}"
        self.emit(FellBack(used, "fp32", f"{used} gave NaN or infinite values"))
        self.runner, self._way, self._trusted = self._safe(), None, True

    def _computed(self, rgb: Tensor) -> Result:
        """Smaller steps are taken, and kept, when memory runs out; always with the same frame."""
        while True:
            done = self._attempt(rgb)
            if done is not None:
                return done
            self._step_down(rgb)  # outside of `except`: the exception holds the tensors of the failed pass

    def _attempt(self, rgb: Tensor) -> Result | None:
        try:
            return self._run(rgb)
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as error:
            if "can't allocate memory" in str(error):  # what PyTorch's CPU allocator says
                return None
            raise DeviceError(f"the device {self.engine.device} failed: {str(error).splitlines()[0]}") from error

    def _run(self, rgb: Tensor) -> Result:
        """Frame after frame brought up to date where the way of running can do that, else the batch as it is."""
        way = self._way_for(*rgb.shape[-2:])
        update = self.engine.reuse and way.reuses
        parts = torch.split(rgb, 1 if update else self._together)
        work, results, boxes = 0.0, [], None
        for part in parts:
            if update:
                result, boxes = way.update(part)
            else:
                result = way(part)
            work += float(way.share) * len(part)
            results.append(result if len(parts) == 1 else result.clone())
        self.work += work
        return (results[0], boxes) if len(parts) == 1 else (torch.cat(results), None)

    def _way_for(self, height: int, width: int) -> Way:
        if self._way is None or self._size != (height, width):
            self._size = (height, width)
            self._way = self._incremental(height, width) or self._tiled(height, width)
            self.kept = self._way.nbytes(height, width) if self.engine.reuse else 0
        return self._way

    def _incremental(self, height: int, width: int) -> Incremental | Fused | None:
        """For plain stacks in whole frames, as long as there is memory for what is kept."""
        if self._tile or not self.engine.reuse:
            return None
        if isinstance(self.runner, Fused) and self.runner.nbytes(height, width) <= self._cache:
            return self.runner
        if not isinstance(self.runner, Layered):
            return None
        if not is_exact(self.runner):
            self.emit(
                Notice("this machine's convolutions depend on the size of the picture: only whole frames are reused")
            )
            return None
        return fitting(self.runner, height, width, self._cache)

    def _tiled(self, height: int, width: int) -> Tiled:
        network = self.network
        cut = list(self.cut(height, width, self._tile, self.engine.overlap, network.multiple_of))
        free = self.engine.device.type == "cpu" and self.runner.name in ("eager", "layered") and shapes_are_free()
        return Tiled(self._padded, cut, network, self._together, self.engine.ramp, free)

    def _padded(self, rgb: Tensor) -> Tensor:
        """N 3 H W to N 3 sH sW for any H and W, mirrored up to the network's size rule as in the reference."""
        height, width = rgb.shape[-2:]
        result = self.runner(fitted(rgb, self.network))
        return result[..., : height * self.network.scale, : width * self.network.scale]

    def _step_down(self, rgb: Tensor) -> None:
        """The next smaller step: less kept, single frames and tiles, smaller tiles."""
        way, self._way = self._way, None
        if isinstance(self.runner, Fused):
            self.runner.release()
        if isinstance(way, Incremental | Fused):
            self._cache = way.nbytes(*rgb.shape[-2:]) * 3 // 4
            self._tell("reuse of layers", "reuse of fewer layers")
        elif self._together > 1:
            self._tell(f"batch {self._together}", "batch 1")
            self._together = 1
        else:
            self._shrink_tile(rgb)
        if rgb.device.type == "cuda":
            torch.cuda.empty_cache()

    def _shrink_tile(self, rgb: Tensor) -> None:
        side = self._tile or max(rgb.shape[-2:])
        if side <= SMALLEST_TILE:
            raise DeviceError(
                f"out of memory on {rgb.device} with tiles of {side} pixels, the smallest step",
                "close other programs, or use --device cpu",
            )
        smaller = max(SMALLEST_TILE, side // 2)
        seams = ", seams may differ slightly" if self.engine.overlap < self.network.receptive_field else ""
        self._tell(f"tile {side}", f"tile {smaller}", seams)
        self._tile = smaller

    def _tell(self, wanted: str, used: str, more: str = "") -> None:
        self.emit(FellBack(wanted, used, f"out of memory: {wanted} -> {used}{more}"))


def clamped(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches with `rgb` in [0, 1], in memory of its own, as another pass takes it."""
    for batch in batches:
        yield batch if batch.rgb is None else replace(batch, rgb=batch.rgb.clamp(0, 1), boxes=None)


def _is_finite(out: Tensor, boxes: tuple[Box, ...] | None) -> bool:
    """Waits for the device, once. The extremes of a tensor with a NaN are NaN, and are found seven times faster than
    every value is looked at.
    """
    parts = [out] if boxes is None else [box.of(out) for box in boxes]
    extremes = [extreme for part in parts for extreme in torch.aminmax(part)]
    return not extremes or bool(torch.isfinite(torch.stack(extremes)).all())
