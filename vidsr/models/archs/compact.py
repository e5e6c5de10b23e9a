"""SRVGGNetCompact: a plain stack of convolutions at the size of the input, with one shuffle at the end.

Source: X. Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", 2021, and
the weights released with it, whose key names and order of layers this network keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import WeightsError

Activation = Literal["prelu", "relu", "leakyrelu"]

SLOPES: dict[Activation, float] = {"relu": 0.0, "leakyrelu": 0.1}
"""For negative values, of the activations that have no weights."""


def _activation(kind: Activation, features: int) -> nn.Module:
    if kind == "prelu":
        return nn.PReLU(features)
    return nn.ReLU() if kind == "relu" else nn.LeakyReLU(SLOPES["leakyrelu"])


class SRVGGNetCompact(nn.Module):
    """N 3 H W to N 3 sH sW float32, RGB, [0, 1] nominal, not clamped; any H and W.

    The body runs in the dtype of its weights. The input, repeated s times in both directions, is added in float32:
    the body gives small corrections only, so a bfloat16 body costs little.
    """

    multiple_of = 1

    def __init__(
        self, features: int = 64, convolutions: int = 16, scale: int = 4, activation: Activation = "prelu"
    ) -> None:
        super().__init__()
        self.features, self.convolutions, self.scale, self.activation = features, convolutions, scale, activation
        layers: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), _activation(activation, features)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(features, features, 3, padding=1), _activation(activation, features)]
        self.body = nn.Sequential(*layers, nn.Conv2d(features, 3 * scale**2, 3, padding=1))

    def forward(self, rgb: Tensor) -> Tensor:
        detail = self.body(rgb.to(next(self.body.parameters()).dtype))
        base = functional.interpolate(rgb.float(), scale_factor=self.scale, mode="nearest")
        return functional.pixel_shuffle(detail.float(), self.scale) + base

    @property
    def title(self) -> str:
        """The architecture and its hyper-parameters, for people."""
        return f"SRVGGNetCompact {self.features} features, {self.convolutions} convolutions, {self.activation}"

    @property
    def receptive_field(self) -> int:
        """Radius in input pixels: every 3x3 convolution sees one pixel farther."""
        return self.convolutions + 2

    @property
    def flops_per_pixel(self) -> int:
        """Twice the multiplications of all convolutions, per input pixel."""
        return 2 * sum(layer.weight.numel() for layer in self.body if isinstance(layer, nn.Conv2d))


def matches(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of this network."""
    return "body.0.weight" in state and "conv_first.weight" not in state


def recover(state: Mapping[str, Tensor]) -> SRVGGNetCompact:
    """The network, without weights, that a state dict belongs to. Raises WeightsError when the shapes make no sense.

    ReLU and leaky ReLU leave no trace in a state dict; without PReLU slopes, ReLU is assumed.
    """
    indices = [int(found[1]) for key in state if (found := re.fullmatch(r"body\.(\d{1,6})\.weight", key))]
    last, first = max(indices), state["body.0.weight"]
    tail = state[f"body.{last}.weight"]
    scale = round((tail.shape[0] / 3) ** 0.5) if tail.ndim == 4 else 0
    if first.ndim != 4 or scale < 1 or last % 2 or last < 2 or last > 4 * len(state):
        raise WeightsError(
            f"the weights look like SRVGGNetCompact, but body.0.weight is {_shape(first)} and body.{last}.weight is "
            f"{_shape(tail)}; expected are Fx3x3x3 first and (3*scale*scale)xFx3x3 at an even place last"
        )
    slopes = state.get("body.1.weight")
    activation: Activation = "relu" if slopes is None else "prelu"
    return SRVGGNetCompact(first.shape[0], (last - 2) // 2, scale, activation)


def with_slopes(state: Mapping[str, Tensor], slope: float) -> dict[str, Tensor]:
    """The same network with its activation as PReLU, whose slopes are all `slope`; slopes that are there stay."""
    layers = [key.split(".")[1] for key, value in state.items() if key.endswith(".weight") and value.ndim == 4]
    slopes = {
        f"body.{int(layer) + 1}.weight": torch.full((state[f"body.{layer}.weight"].shape[0],), slope)
        for layer in sorted(layers, key=int)[:-1]
    }
    return {**slopes, **state}


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
