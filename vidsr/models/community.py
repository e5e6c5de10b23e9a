"""Networks of other architectures, built by the package spandrel (the extra `community`).

The file is read by `models.files`, which allows plain tensors only; spandrel gets the tensors, never the file. What it
says of a network is obeyed: sizes that it takes, half precision, and whether tiles are advised against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import WeightsError
from ..runtime.quiet import first_line, quiet

PURPOSES = ("SR", "Restoration")
"""Kinds of networks that take a picture and give a picture, whatever it shows."""


class Community(nn.Module):
    """N 3 H W float32 in [0, 1] to N 3 sH sW float32; H and W obey `multiple_of` and `minimum`.

    `found` is spandrel's description of the network. Networks that ask for squares get them, mirrored, and the result
    is cut.
    """

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.spandrel: nn.Module = found.model
        self.scale: int = found.scale
        self.multiple_of: int = found.size_requirements.multiple_of
        self.minimum: int = max(found.size_requirements.minimum, self.multiple_of)
        self.square: bool = found.size_requirements.square
        self.tiles = found.tiling.name == "SUPPORTED"
        self.half_allowed: bool = found.supports_half
        self.title = f"{found.architecture.name} {' '.join(found.tags)}, by spandrel".replace(" ,", ",")
        # Not public, but the only way by which spandrel says how a network is called that gives more than a picture.
        self._call: Callable[[nn.Module, Tensor], Tensor] = found._call_fn

    def forward(self, rgb: Tensor) -> Tensor:
        dtype = next(self.spandrel.parameters()).dtype
        height, width = rgb.shape[-2:]
        side = max(height, width) if self.square else 0
        result = self._call(self.spandrel, _grown(rgb.to(dtype), side, side) if side else rgb.to(dtype))
        return result[..., : height * self.scale, : width * self.scale].float()


def _grown(rgb: Tensor, height: int, width: int) -> Tensor:
    """Right and bottom mirrored, as far as there is something to mirror, then repeated."""
    for mode, most in (("reflect", min(rgb.shape[-2:]) - 1), ("replicate", max(height, width))):
        down, right = (min(most, want - have) for want, have in zip((height, width), rgb.shape[-2:], strict=True))
        rgb = functional.pad(rgb, (0, right, 0, down), mode=mode)
    return rgb


def why_absent() -> str | None:
    """One sentence that says why spandrel cannot be used here, None when it can."""
    try:
        with quiet():
            import spandrel  # noqa: F401
    except Exception as error:  # where torchvision does not fit torch, importing it raises RuntimeError
        missing = isinstance(error, ModuleNotFoundError) and error.name == "spandrel"
        return "the package spandrel is not installed" if missing else f"spandrel cannot start: {first_line(error)}"
    return None


def build_community(state: Mapping[str, Tensor]) -> Community:
    """The network that spandrel makes of a state dict, in eval mode, float32. Raises WeightsError if there is none."""
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

    if not all(torch.isfinite(value).all() for value in state.values()):
        raise WeightsError("the weights hold values that are not finite", "the file is damaged")
    try:
        with quiet():
            found = ModelLoader().load_from_state_dict(dict(state))
    except UnsupportedModelError as error:
        raise WeightsError("the weights fit no network that spandrel knows") from error
    except Exception as error:  # its architectures raise whatever the shapes lead to
        raise WeightsError(f"spandrel cannot build the network: {first_line(error)}") from error
    if not isinstance(found, ImageModelDescriptor) or found.purpose not in PURPOSES:
        raise WeightsError(f"the network {found.architecture.name} is for {found.purpose}, expected SR or Restoration")
    if (found.input_channels, found.output_channels) != (3, 3):
        channels = f"{found.input_channels} to {found.output_channels}"
        raise WeightsError(f"the network {found.architecture.name} has {channels} channels, expected 3 to 3")
    network = Community(found)
    network.eval().requires_grad_(False)
    return network
