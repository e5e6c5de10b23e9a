"""What training minimises. A loss is a module that learns nothing.

`options` names the losses, `build` makes one, `context.LossContext` is what it looks at. `gan` has the adversarial
ones, of which `gan.build` makes one; their discriminators are in `trainer.nets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from .base import Loss
    from .options import LossOptions


def build(options: LossOptions, device: torch.device | str = "cpu") -> Loss:
    """The loss on `device`. Raises WeightsError where it needs weights that are missing or refused."""
    from .construct import construct  # here: options are read where torch is not wanted

    return construct(options, device)
