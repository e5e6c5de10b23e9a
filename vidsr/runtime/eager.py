"""A network as PyTorch runs it by itself, layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..models.descriptor import Descriptor
from .device import DTYPES


class Eager:
    """Calls the network on N 3 H W float32 RGB in [0, 1]; gives N 3 sH sW float32, not clamped.

    The layers run in `precision`, channels last; the networks themselves add their skip connection in float32.
    `check` is called before every convolution and may raise to stop a long pass in between.
    """

    def __init__(
        self, descriptor: Descriptor, device: torch.device, precision: str, check: Callable[[], None] | None = None
    ) -> None:
        self.network = copy.deepcopy(descriptor.network).to(device=device, dtype=DTYPES[precision])
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        self.precision = precision
        self.device = device
        if check is not None:
            self._check_between_layers(check)

    def _check_between_layers(self, check: Callable[[], None]) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            check()

        for module in self.network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_pre_hook(hook)

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Tensor:
        result: Tensor = self.network(rgb.contiguous(memory_format=torch.channels_last))
        return result
