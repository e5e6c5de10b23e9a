"""A network run by Triton kernels of our own on CUDA: planes in, planes out, and only what changed.

Works for SRVGGNetCompact. The kernels are in `kernels`, which is imported when a `Fused` is made: Triton exists on
Linux only, and `why_not` says so elsewhere.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import UsageError
from ..frames import ColorTags, PixelLayout
from ..models.archs.compact import SRVGGNetCompact
from ..models.descriptor import Descriptor
from .device import DTYPES
from .graphs import recorded
from .interface import Check

if TYPE_CHECKING:
    from .kernels.coding import Coding
    from .kernels.conv import Config
    from .kernels.network import State

SHAPES = 10
"""Sizes (of frames and tiles) whose buffers and graphs are kept; the one not used for longest goes first."""


def why_not(device: torch.device, descriptor: Descriptor) -> str | None:
    """One sentence that says why `Fused` cannot run this network on this device; None if it can."""
    network = descriptor.network
    if not isinstance(network, SRVGGNetCompact):
        return f"runtime fused runs SRVGGNetCompact only, {descriptor.name} is {descriptor.arch}"
    if network.features % 16 or not 16 <= network.features <= 128:
        return f"runtime fused runs 16 … 128 features in steps of 16, {descriptor.name} has {network.features}"
    if find_spec("triton") is None:
        return "runtime fused needs Triton, which is not installed; it comes with PyTorch for CUDA on Linux"
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1":
        return None  # Triton's interpreter: far too slow for pictures, good enough for tests
    if device.type != "cuda" or torch.version.cuda is None:
        return f"runtime fused runs on NVIDIA GPUs only, the device is {device}"
    if (capability := torch.cuda.get_device_capability(device)) < (8, 0):
        seen = ".".join(map(str, capability))
        return f"runtime fused needs compute capability 8.0 (Ampere) or later, {device} has {seen}"
    return None


@dataclass
class _Prepared:
    """The buffers of a frame size with what goes in and comes out, and the graphs recorded over them.

    `picture` is what the planes `out` are slices of, 3 sH sW, when they are RGB in float32. `valid` says that every
    feature map and plane holds the last frame.
    """

    state: State
    planes: tuple[Tensor, ...]
    out: tuple[Tensor, ...]
    picture: Tensor
    valid: bool = False
    runs: dict[str, torch.cuda.CUDAGraph | None] = field(default_factory=dict)


class Fused:
    """The runtime of that name, with `update` and `planes` for films beside the usual call.

    All calls belong on one CUDA stream, or are ordered by events: they share buffers. Nothing waits for the device but
    the first two calls for a frame size, which measure and record. What a call returns is the caller's until the next
    call. After it, `bad` (one int32 on the device) says whether a value was not finite, and `share` (float32 on the
    device) which part of the work was done; read them when convenient. After not finite values call `reset`.

    `config` fixes how the convolutions are cut up, which otherwise is measured; different ones differ in rounding.
    Raises UsageError for other precisions than fp16 and bf16.
    """

    name = "fused"
    reuses = True

    def __init__(
        self,
        descriptor: Descriptor,
        device: torch.device,
        precision: str,
        check: Check | None = None,
        *,
        config: Config | None = None,
    ) -> None:
        if precision not in ("fp16", "bf16"):
            raise UsageError(f"--precision: {precision} is not allowed with runtime fused, allowed are fp16 and bf16")
        if reason := why_not(device, descriptor):
            raise UsageError(f"--runtime: {reason}", "use --runtime eager")
        from .kernels.network import Network

        assert isinstance(descriptor.network, SRVGGNetCompact)
        self.precision, self.device, self._check, self._config = precision, device, check, config
        with self._on_device(), torch.inference_mode():
            self._network = Network(descriptor.network, DTYPES[precision], device)
        self.bad = torch.zeros(1, dtype=torch.int32, device=device)
        self.share = torch.ones((), device=device)
        self._prepared: OrderedDict[tuple[int, int, str], _Prepared] = OrderedDict()
        self._codings: tuple[Coding, Coding] | None = None

    def bind(
        self, source: PixelLayout, color: ColorTags, target: PixelLayout, target_color: ColorTags, *, dither: bool
    ) -> None:
        """Say what `planes` takes and gives. Colours are resolved, as for `planes.ToRGB` and `FromRGB`."""
        from .kernels import coding

        self._codings = (
            coding.source(source, color, self.device),
            coding.target(target, target_color, self.device, dither=dither),
        )
        self._prepared.clear()

    def chosen(self) -> dict[str, Any]:
        """How the convolutions are cut up, in JSON's values: what `fix` takes, so that others round as this one does.

        Empty before the first frame, after which it is measured.
        """
        configs = [self._config, *(prepared.state.config for prepared in self._prepared.values())]
        return asdict(configs[-1]) if configs[-1] else {}

    def fix(self, chosen: dict[str, Any]) -> None:
        """Cut the convolutions up as another one does, from which `chosen` is."""
        from .kernels.conv import Config

        self._config = Config(**chosen)
        self._prepared.clear()

    def reset(self) -> None:
        """Forget the last frame: the next one is computed as a whole."""
        for prepared in self._prepared.values():
            prepared.valid = False

    def release(self) -> None:
        """Give back the memory of all frame sizes."""
        self._prepared.clear()

    def nbytes(self, height: int, width: int) -> int:
        """Device memory that `update` keeps for frames of that size, in bytes, its input and result included."""
        return self._network.kept_bytes(height, width) + 12 * height * width * (1 + self._network.scale**2)

    def cache_bytes(self, height: int, width: int) -> int:
        """Device memory that `planes` with reuse keeps for frames of that size, in bytes, without the planes."""
        differences = 8 * height * width * self._network.scale**2
        return self._network.kept_bytes(height, width) + differences

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        """N 3 H W float32 RGB in [0, 1] to N 3 sH sW float32, not clamped. `bad` is about all of the N."""
        height, width = rgb.shape[-2:]
        results, bad = [], torch.zeros_like(self.bad)
        with self._on_device():
            for picture in rgb:
                prepared = self._prepare(height, width, "call")
                prepared.state.rgb.copy_(picture)
                self._run(prepared, "network", lambda ready: ready.state.run_network(ready.out))
                bad |= prepared.state.bad
                results.append(prepared.picture[None] if len(rgb) == 1 else prepared.picture[None].clone())
        self.bad, self.share = bad, prepared.state.share.clone()
        return results[0] if len(rgb) == 1 else torch.cat(results)

    def update(self, rgb: Tensor) -> tuple[Tensor, None]:
        """The next frame of a film, 1 3 H W float32 RGB in [0, 1], to 1 3 sH sW float32, not clamped.

        Only what differs from the frame before is computed, with the same result as that of a call, bit for bit; it is
        the same tensor at every call of one size. None: where it changed is known on the device only.
        """
        return self._advance(tuple(rgb[0]), "update", reuse=True).picture[None], None

    def planes(self, planes: tuple[Tensor, ...], *, reuse: bool = True) -> tuple[Tensor, ...]:
        """Planes (H W, chroma h w) on the device to planes s times larger, as `bind` said.

        With `reuse` only what differs from the frame before of the same size is computed, and the same tensors are
        patched and returned; the result is the same, bit for bit. Raises UsageError before `bind`.
        """
        if self._codings is None:
            raise UsageError("Fused.planes needs to know the layouts: call bind first")
        return self._advance(planes, "kept planes" if reuse else "planes", reuse).out

    @torch.inference_mode()
    def _advance(self, planes: tuple[Tensor, ...], kind: str, reuse: bool) -> _Prepared:
        with self._on_device():
            height, width = planes[0].shape
            prepared = self._prepare(height, width, kind)
            for mine, given in zip(prepared.planes, planes, strict=True):
                assert mine.dtype == given.dtype, "planes of another depth than bind was told"
                mine.copy_(given)
            changed, prepared.valid = prepared.valid, False  # should anything go wrong now, nothing can be relied on
            if changed:
                self._run(prepared, "changed", lambda ready: ready.state.run_changed(ready.planes, ready.out))
            else:
                self._run(prepared, "whole", lambda ready: ready.state.run_whole(ready.planes, ready.out))
            prepared.valid = reuse
        self.bad, self.share = prepared.state.bad.clone(), prepared.state.share.clone()
        return prepared

    def _prepare(self, height: int, width: int, kind: str) -> _Prepared:
        """The buffers for frames of a size; made when they are wanted for the first time."""
        if self._check is not None:
            self._check()
        key = (height, width, kind)
        if key not in self._prepared:
            while len(self._prepared) >= SHAPES:
                self._prepared.popitem(last=False)
            self._prepared[key] = self._allocate(height, width, kind)
        self._prepared.move_to_end(key)
        return self._prepared[key]

    def _allocate(self, height: int, width: int, kind: str) -> _Prepared:
        from .kernels import coding
        from .kernels.network import State

        scale, picture = self._network.scale, torch.empty(0)
        if "planes" in kind and self._codings is not None:
            source, target = self._codings
            planes, out = self._zeros(source, height, width), self._zeros(target, height * scale, width * scale)
        else:
            source = target = coding.floats(self.device)
            planes = tuple(torch.zeros(3, height, width, device=self.device))
            picture = torch.zeros(3, height * scale, width * scale, device=self.device)
            out = tuple(picture)
        kept = kind in ("update", "kept planes")
        state = State(self._network, height, width, source, target, kept=kept, config=self._config)
        return _Prepared(state, planes, out, picture)

    def _zeros(self, coding: Coding, height: int, width: int) -> tuple[Tensor, ...]:
        dtype = torch.uint8 if coding.layout.depth <= 8 else torch.uint16
        sizes = [*coding.layout.plane_sizes(width, height)]
        return tuple(torch.zeros(size, dtype=dtype, device=self.device) for size in sizes)

    def _run(self, prepared: _Prepared, mode: str, body: Callable[[_Prepared], None]) -> None:
        """Queue `body`: as it is the first time, which compiles what is missing, recorded as a graph from then on."""
        if self.device.type != "cuda" or mode not in prepared.runs:
            body(prepared)
            prepared.runs[mode] = None
            return
        graph = prepared.runs[mode]
        if graph is None:
            graph = prepared.runs[mode] = recorded(self.device, lambda: body(prepared))
        graph.replay()

    def _on_device(self) -> AbstractContextManager[object]:
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()
