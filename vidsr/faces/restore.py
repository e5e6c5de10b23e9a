"""Faces through a restoring network: several together, in float32 or bfloat16, each looked at before it is used."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import DeviceError, WeightsError
from ..events import Emit, FellBack, ignore
from ..runtime.device import has_fast_bf16
from ..runtime.eager import all_bits
from ..runtime.interface import Check
from .align import SIDE
from .masks import Masks, Oval, Parsed
from .nets.gfpgan import GFPGANv1Clean
from .weights import load_network

TOGETHER = 8
"""Faces that a GPU computes at once. A CPU gains nothing by it, and computes each face alone: so the same face has
the same pixels whatever others there are."""


class Restorer:
    """A restoring network at work: faces N 3 512 512 RGB in [0, 1] to the same, restored.

    `network` takes and gives [-1, 1]; it is moved to `device`. `precision` is fp32, bf16 (products only; sums stay in
    float32), or auto for the faster one. The noise of a StyleGAN2 decoder is that of its checkpoint, so that a still
    face does not flicker; the reference draws it anew for each face. `emit` gets what is to be said, and `check` is
    called between faces and may raise to stop.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        precision: str = "auto",
        *,
        name: str = "the network",
        emit: Emit = ignore,
        check: Check | None = None,
    ) -> None:
        self.name, self.device = name, device
        self.precision = "bf16" if precision != "fp32" and (precision == "bf16" or has_fast_bf16(device)) else "fp32"
        self._network = network.to(device).eval().requires_grad_(False)
        self._together = 1 if device.type == "cpu" else TOGETHER
        self._emit, self._check = emit, check

    @torch.no_grad()
    def __call__(self, faces: Tensor, weight: float = 1.0) -> Tensor:
        """`weight` in [0, 1] is the part of the restored face, the rest is the face as it was.

        A face that comes out with NaN or infinite values stays as it was, which is told. Raises DeviceError when the
        device fails, or has no memory for a single face.
        """
        done: list[Tensor] = []
        while (at := sum(map(len, done))) < len(faces):
            if self._check:
                self._check()
            part = faces[at : at + self._together]
            restored = self._attempt(part)
            if restored is None:
                self._step_down()
            else:
                done.append(self._sound(restored, part).lerp(part, 1 - weight))
        return torch.cat(done) if done else faces

    def _attempt(self, faces: Tensor) -> Tensor | None:
        """None when memory ran out."""
        try:
            cast = torch.autocast(faces.device.type, torch.bfloat16, enabled=self.precision == "bf16")
            with cast, all_bits(self.device, self.precision):
                restored: Tensor = self._network(faces.float() * 2 - 1)
            return restored.float().add(1).div(2)
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as error:
            if "can't allocate memory" in str(error):  # what PyTorch's CPU allocator says
                return None
            raise DeviceError(f"the device {self.device} failed: {str(error).splitlines()[0]}") from error

    def _step_down(self) -> None:
        """Outside of `except`: the exception holds the tensors of the failed pass."""
        if self._together == 1:
            what = f"out of memory on {self.device} with one face in {self.name}"
            raise DeviceError(what, "close other programs, use --device cpu, or leave --face-enhance out")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        before, self._together = self._together, self._together // 2
        self._emit(FellBack(f"{before} faces at once", f"{self._together}", "out of memory"))

    def _sound(self, restored: Tensor, faces: Tensor) -> Tensor:
        """`restored` in [0, 1], with the faces as they were in place of those that are not finite."""
        finite = restored.isfinite().flatten(1).all(1)
        if not bool(finite.all()):
            count = int((~finite).sum())
            reason = f"{count} came out with NaN or infinite values"
            self._emit(FellBack(f"faces restored by {self.name}", "the faces as they were", reason))
            restored = torch.where(finite[:, None, None, None], restored, faces)
        return restored.clamp(0, 1)


def load_restorer(
    spec: str, device: torch.device, precision: str = "auto", *, emit: Emit = ignore, check: Check | None = None
) -> Restorer:
    """The restorer of that name, or of a weights file. Raises UsageError for names that are none, WeightsError."""
    found = load_network(spec, "face-restorer", emit)
    if isinstance(found.network, GFPGANv1Clean) and (side := 4 << len(found.network.conv_body_down)) != SIDE:
        raise WeightsError(f"weights {found.origin} are for faces of {side} pixels, allowed are those for {SIDE}")
    return Restorer(found.network, device, precision, name=found.name, emit=emit, check=check)


def load_masks(device: torch.device, emit: Emit = ignore) -> Masks:
    """Masks by ParseNet, or ovals where its weights cannot be had, which is told."""
    try:
        return Parsed(load_network("parsenet", "face-parser", emit).network, device)
    except WeightsError as error:
        emit(FellBack("masks of faces by parsenet", "ovals", str(error)))
        return Oval(device)
