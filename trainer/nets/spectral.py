"""A convolution whose weight is divided by its largest singular value.

Source: T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018. The names of its state
are those of `torch.nn.utils.spectral_norm`, which the reference uses. Unlike that one it can be copied after use, and
computes in float32 under autocast: the norm is a sum over thousands of products.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-12


class SpectralConv2d(nn.Conv2d):
    """`nn.Conv2d` with `weight_orig`, and `weight_u` and `weight_v`, its singular vectors as far as they are known.

    Every forward pass in training mode makes one step of the power iteration; in eval mode nothing changes.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 1, bias: bool = False):
        super().__init__(inputs, outputs, size, stride, padding, bias=bias)
        weight = self._parameters.pop("weight")
        assert weight is not None
        self.weight_orig = nn.Parameter(weight.detach())
        for name, length in (("weight_u", outputs), ("weight_v", inputs * size**2)):
            self.register_buffer(name, functional.normalize(torch.randn(length), dim=0, eps=EPSILON))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self._conv_forward(x, self.normalised(), self.bias)
        return result

    def normalised(self) -> Tensor:
        """The weight as it is used."""
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            matrix = self.weight_orig.flatten(1)
            u, v = self._vectors(matrix.detach())
            weight: Tensor = self.weight_orig / torch.dot(u, torch.mv(matrix, v))
            return weight

    @torch.no_grad()
    def _vectors(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Copies: backward needs the values of this pass, also after the next one has changed the buffers."""
        if not self.training:
            return self.weight_u.clone(), self.weight_v.clone()
        v = functional.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=EPSILON)
        u = functional.normalize(torch.mv(matrix, v), dim=0, eps=EPSILON)
        self.weight_u.copy_(u)
        self.weight_v.copy_(v)
        return u, v
