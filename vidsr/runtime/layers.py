"""The layers of a plain stack of convolutions, one by one, on any rectangle of a picture.

Activations are H W C. Those that are kept lie in buffers of H+2 W+2 C with a border of zeros, which is the padding
that every layer of these networks asks for. They are kept as the convolutions give them: the activation function is
applied when the next layer reads them, so that a rectangle takes three calls (activate into a dense patch, convolve,
put in place).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise, product
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..frames import Box
from ..models.archs.compact import SRVGGNetCompact


class Layer:
    """An activation function and the 3x3 convolution after it.

    `before` is the module whose result a buffer holds without its activation; None in front of the first layer.
    """

    def __init__(self, convolution: nn.Conv2d, before: nn.Module | None) -> None:
        self.inputs, self.outputs = convolution.in_channels, convolution.out_channels
        self.dtype = convolution.weight.dtype
        self._activate: Callable[[Tensor], Tensor] = before or (lambda rows: rows)
        self._slopes = before.weight.detach() if isinstance(before, nn.PReLU) else None
        self._convolve = Convolution(convolution)

    def __call__(self, pixels: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """h w C, of any distance between rows, to h' w' F, dense; `padding` is what is put above and below, and left
        and right. Both are in the dtype of the layer, or may be cast to that of the next.
        """
        height, width, channels = pixels.shape
        active = self._activated(pixels.flatten(1)).view(1, height, width, channels)
        return self._convolve(active.permute(0, 3, 1, 2), padding)[0].permute(1, 2, 0)

    def _activated(self, rows: Tensor) -> Tensor:
        """Rows of pixels, h (w C), to the same, dense. PReLU is a fourth faster on them with a slope for each value."""
        if self._slopes is None:
            return self._activate(rows).contiguous()
        if self._slopes.numel() < rows.shape[1]:
            self._slopes = self._slopes[: self.inputs].repeat(rows.shape[1] // self.inputs)
        return functional.prelu(rows, self._slopes[: rows.shape[1]])


def stack(network: SRVGGNetCompact) -> list[Layer]:
    """The layers of a network, each with the activation in front of it; the dtype may differ from layer to layer."""
    body = list(network.body)
    return [Layer(body[i], body[i - 1] if i else None) for i in range(0, len(body), 2)]  # type: ignore[arg-type]


class Convolution:
    """What a convolution computes, with its own padding or another.

    On a CPU the weights are brought into oneDNN's own order once, not at each call, and every size takes oneDNN:
    PyTorch gives small float32 pictures to another library, which rounds otherwise.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        self._padding = cast(tuple[int, int], convolution.padding)
        self._weight = convolution.weight.detach()
        self._bias = None if convolution.bias is None else convolution.bias.detach()
        self._packed: Tensor | None = None
        if self._weight.device.type == "cpu" and _has_onednn():
            usual = [1, convolution.in_channels, 18, 66]
            pack = torch.ops.mkldnn._reorder_convolution_weight
            self._packed = pack(self._weight, [0, 0], [1, 1], [1, 1], 1, usual)

    def __call__(self, pictures: Tensor, padding: tuple[int, int] | None = None) -> Tensor:
        """N C H W to N F H' W', channels last."""
        around = self._padding if padding is None else padding
        if self._packed is None:
            return functional.conv2d(pictures, self._weight, self._bias, padding=around)
        call, once = torch.ops.mkldnn._convolution_pointwise, [1, 1]
        return cast(Tensor, call(pictures, self._packed, self._bias, around, once, once, 1, "none", [], ""))


def is_plain(convolution: nn.Conv2d) -> bool:
    """Whether `Convolution` computes the same: without steps, gaps, groups, and with nothing but zeros around."""
    plain = (convolution.stride, convolution.dilation, convolution.groups) == ((1, 1), (1, 1), 1)
    zeros = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    return plain and zeros and type(convolution) is nn.Conv2d


def _has_onednn() -> bool:
    known = hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
    return known and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


@cache
def shapes_are_free() -> bool:
    """Whether the convolutions of this CPU give a pixel the same value whatever the size of the picture.

    Tried on noise, with numbers of channels that these networks have; true of oneDNN on x86.
    """
    noise = torch.Generator().manual_seed(0)
    for dtype, inputs in product((torch.float32, torch.bfloat16), (3, 64, 96, 192)):
        picture = torch.randn(1, inputs, 40, 60, generator=noise).to(dtype, memory_format=torch.channels_last)
        convolution = nn.Conv2d(inputs, 32, 3).to(dtype)
        nn.init.normal_(convolution.weight, generator=noise)
        convolve = Convolution(convolution)
        whole = convolve(picture)
        for box in (Box(0, 0, 3, 60), Box(7, 20, 31, 45), Box(30, 33, 40, 60), Box(11, 12, 14, 15)):
            if not torch.equal(
                convolve(box.of(picture)), Box(box.top, box.left, box.bottom - 2, box.right - 2).of(whole)
            ):
                return False
    return True


def new_buffer(height: int, width: int, channels: int, dtype: torch.dtype) -> Tensor:
    """H+2 W+2 C, zeros."""
    return torch.zeros(height + 2, width + 2, channels, dtype=dtype)


def window(buffer: Tensor, box: Box, border: int) -> Tensor:
    """The part of a buffer that holds `box` and `border` (0 or 1) pixels around it."""
    top, left = box.top + 1 - border, box.left + 1 - border
    return buffer[top : box.bottom + 1 + border, left : box.right + 1 + border]


def run_stack(layers: list[Layer], source: Tensor, box: Box, frame: Box) -> Tensor:
    """The result of one or more layers at `box`, h w F, from the buffer in front of them; `frame` is all of it.

    Every layer but the last is computed on the margin that those after it see; beyond the frame lie zeros.
    """
    margin = len(layers) - 1
    patch = window(source, box.grown(margin, frame), 1)
    for layer, after in pairwise(layers):
        patch = functional.pad(layer(patch).to(after.dtype), _outside(box, margin, frame))
        margin -= 1
    return layers[-1](patch)


def _outside(box: Box, margin: int, frame: Box) -> list[int]:
    """Zeros to put left, right, above and below: one on each side on which `box` with its margin leaves the frame."""
    across = [int(box.left < margin), int(box.right + margin > frame.right)]
    return [0, 0, *across, int(box.top < margin), int(box.bottom + margin > frame.bottom)]


def put_details(out: Tensor, details: Tensor, rgb: Tensor, box: Box, scale: int) -> None:
    """Place the last layer's result at `box`, h w 3ss, into `out`, 3 sH sW float32: the pixel shuffle, plus the source
    `rgb`, 3 H W float32, repeated s times both ways.

    One pass over memory; `pixel_shuffle` and `interpolate` of PyTorch take six times as long on a CPU.
    """
    h, w, place = box.height, box.width, box.times(scale)
    target = place.of(out).view(3, h, scale, w, scale)
    shuffled = details.view(h, w, 3, scale, scale).permute(2, 0, 3, 1, 4)
    source = box.of(rgb)[:, :, None, :, None]
    torch.add(shuffled, source, out=target)
