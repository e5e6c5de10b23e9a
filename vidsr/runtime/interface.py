"""What every way of running a network has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

Check = Callable[[], None]
"""Called now and then during long work; raises when the run is to stop."""


class Runtime(Protocol):
    """A network ready to run on one device, in one number format.

    `name` is that of `--runtime`, `precision` one of fp32, fp16 and bf16. The skip connection and the last addition
    of a network are float32 whatever the precision.
    """

    name: str
    precision: str
    device: torch.device

    def __call__(self, rgb: Tensor) -> Tensor:
        """N 3 H W float32 RGB in [0, 1] on `device` to N 3 sH sW float32, not clamped.

        H and W obey the size rule of the network. The result is the caller's until the next call.
        """
        ...
