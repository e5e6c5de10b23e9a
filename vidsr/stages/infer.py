"""7. The network: whole frames or tiles, and what to do when memory runs out or numbers are no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import DeviceError
from ..events import Emit, FellBack
from ..frames import Batch, Tile
from ..models.descriptor import Descriptor
from ..runtime.eager import Eager

SMALLEST_TILE = 32

Cut = Callable[[int, int, int, int, int], Iterable[Tile]]
"""(height, width, side, overlap, multiple) to the tiles that cover a frame: `stages.tile.tiles`."""


@dataclass
class Inference:
    """A network ready to run, with its tiling. It steps down by itself when memory runs out, and says so.

    `tile` is the side of a tile in input pixels, 0 for whole frames; `overlap` the border around it.
    """

    descriptor: Descriptor
    runner: Eager
    cut: Cut
    tile: int
    overlap: int
    emit: Emit
    check: Callable[[], None] | None = None
    _safe: Eager | None = None

    def upscaled(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches with `rgb` s times larger, N 3 sH sW float32, every value finite, not clamped.

        Raises DeviceError when the smallest step does not fit in memory, or when float32 gives NaN too.
        """
        for batch in batches:
            yield batch if batch.rgb is None else replace(batch, rgb=self._finite(batch.rgb))

    def _finite(self, rgb: Tensor) -> Tensor:
        out = self.upscale(rgb, self._safe or self.runner)
        if bool(torch.isfinite(out).all()):
            return out
        if self._safe is None and self.runner.precision != "fp32":
            self.emit(FellBack(self.runner.precision, "fp32", f"{self.runner.precision} gave NaN or infinite values"))
            self._safe = Eager(self.descriptor, self.runner.device, "fp32", self.check)
            return self._finite(rgb)
        raise DeviceError(
            f"network {self.descriptor.name} gives NaN or infinite values in float32",
            "the weights are damaged, or the device computes wrongly; --device cpu tells which",
        )

    def upscale(self, rgb: Tensor, runner: Eager) -> Tensor:
        """N 3 H W to N 3 sH sW; smaller steps are taken, and kept, when memory runs out."""
        while True:
            out = self._attempt(rgb, runner)
            if out is not None:
                return out
            self._step_down(rgb)  # outside of `except`: the exception holds the tensors of the failed pass

    def _attempt(self, rgb: Tensor, runner: Eager) -> Tensor | None:
        try:
            return self._whole_or_tiled(rgb, runner)
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as error:
            if "can't allocate memory" in str(error):  # what PyTorch's CPU allocator says
                return None
            raise DeviceError(f"the device {runner.device} failed: {str(error).splitlines()[0]}") from error

    def _step_down(self, rgb: Tensor) -> None:
        height, width = rgb.shape[-2:]
        side = self.tile or max(height, width)
        if side <= SMALLEST_TILE:
            raise DeviceError(
                f"out of memory on {rgb.device} with tiles of {side} pixels, the smallest step",
                "close other programs, or use --device cpu",
            )
        smaller = max(SMALLEST_TILE, side // 2)
        seams = ", seams may differ slightly" if self.overlap < self.descriptor.receptive_field else ""
        self.emit(FellBack(f"tile {side}", f"tile {smaller}", f"out of memory: tile {side} -> {smaller}{seams}"))
        self.tile = smaller
        if rgb.device.type == "cuda":
            torch.cuda.empty_cache()

    def _whole_or_tiled(self, rgb: Tensor, runner: Eager) -> Tensor:
        n, _, height, width = rgb.shape
        cut = list(self.cut(height, width, self.tile, self.overlap, self.descriptor.multiple_of))
        if len(cut) == 1:
            return self._padded(rgb, runner)
        scale = self.descriptor.scale
        out = torch.empty((n, 3, height * scale, width * scale), dtype=torch.float32, device=rgb.device)
        for tile in cut:
            for row in range(n):
                self._seam(out[row : row + 1], rgb[row : row + 1], tile, runner)
        return out

    def _seam(self, out: Tensor, rgb: Tensor, tile: Tile, runner: Eager) -> None:
        """Compute one tile of one frame and put its core in place."""
        seen, core, scale = tile.padded, tile.core, self.descriptor.scale
        result = self._padded(rgb[..., seen.top : seen.bottom, seen.left : seen.right], runner)
        keep, place = core.within(seen).times(scale), core.times(scale)
        out[..., place.top : place.bottom, place.left : place.right] = result[
            ..., keep.top : keep.bottom, keep.left : keep.right
        ]

    def _padded(self, rgb: Tensor, runner: Eager) -> Tensor:
        """Run with right and bottom mirrored up to the network's size rule, as the reference does, and cut back."""
        height, width = rgb.shape[-2:]
        multiple, least = self.descriptor.multiple_of, self.descriptor.minimum
        down = max(least, -(-height // multiple) * multiple) - height
        right = max(least, -(-width // multiple) * multiple) - width
        if not down and not right:
            return runner(rgb)
        mode = "reflect" if down < height and right < width else "replicate"
        result = runner(functional.pad(rgb, (0, right, 0, down), mode=mode))
        scale = self.descriptor.scale
        return result[..., : height * scale, : width * scale]
