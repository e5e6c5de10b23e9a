"""Networks and resampling written a second time, for the tests to compare with: no module of the product is used.

SRVGGNetCompact as its paper and its state dict have it: convolutions of 3x3 with zeros around the picture and a slope
per channel for negative values, one after the other by number; then the channels are dealt out to sub-pixels and the
input is added, each pixel repeated. Bicubic as Pillow has it: Keys' kernel with a = -0.5, stretched when shrinking,
centred between pixels, its part outside of the picture left out and the rest brought to a sum of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from math import ceil, floor

import numpy as np
import torch
from torch import Tensor

from tests.reference_color import Array, keys_cubic


def compact(state: Mapping[str, Tensor], rgb: Array) -> Array:
    """3 H W R'G'B' in [0, 1] to 3 sH sW, float64 throughout, not clamped."""
    layers = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    values = torch.from_numpy(np.ascontiguousarray(rgb))
    for layer in sorted(layers, key=lambda name: int(name.split(".")[1])):
        weight = state[f"{layer}.weight"].double()
        if weight.ndim == 4:
            values = _convolve(values, weight, state[f"{layer}.bias"].double())
        else:
            values = torch.where(values >= 0, values, values * weight[:, None, None])
    detail = _dealt_out(values.numpy())
    scale = detail.shape[1] // rgb.shape[1]
    return detail + rgb.repeat(scale, axis=1).repeat(scale, axis=2)


def _convolve(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """C H W to D H W: the sum over the nine neighbours, each a matrix product over the channels."""
    height, width = values.shape[1:]
    framed = values.new_zeros(values.shape[0], height + 2, width + 2)
    framed[:, 1:-1, 1:-1] = values
    result = bias[:, None].repeat(1, height * width)
    for row, column in product(range(3), repeat=2):
        near = framed[:, row : row + height, column : column + width]
        result += weight[:, :, row, column] @ near.reshape(len(values), -1)
    return result.reshape(-1, height, width)


def _dealt_out(values: Array) -> Array:
    """3 s s H W channels, in this order, to 3 sH sW."""
    scale = round((len(values) / 3) ** 0.5)
    height, width = values.shape[1:]
    grid = values.reshape(3, scale, scale, height, width).transpose(0, 3, 1, 4, 2)
    return grid.reshape(3, height * scale, width * scale)


def bicubic(picture: Array, height: int, width: int) -> Array:
    """… H W to … height width, float64, not clamped."""
    return _weights(height, picture.shape[-2]) @ picture @ _weights(width, picture.shape[-1]).T


def _weights(size: int, before: int) -> Array:
    """size before: how much of each old sample each new one takes."""
    step = before / size
    stretch = max(1.0, step)
    weights = np.zeros((size, before))
    for row in range(size):
        centre = (row + 0.5) * step - 0.5
        first, last = ceil(centre - 2 * stretch), floor(centre + 2 * stretch)
        for column in range(max(0, first), min(before - 1, last) + 1):
            weights[row, column] = keys_cubic((column - centre) / stretch)
    return weights / weights.sum(axis=1, keepdims=True)


def upscaled(network: Callable[[Array], Array], rgb: Array, height: int, width: int) -> Array:
    """3 H W to 3 height width in [0, 1]: `network`, then bicubic where its own scale gives another size."""
    large = network(rgb)
    if large.shape[1:] != (height, width):
        large = bicubic(large, height, width)
    return np.clip(large, 0, 1)
