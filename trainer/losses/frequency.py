"""Differences of spectra."""

from __future__ import annotations

import torch
from torch import Tensor

from vidsr.errors import UsageError

from .base import Loss
from .context import LossContext
from .options import FFT, FocalFrequency


class FFTLoss(Loss):
    """Mean absolute difference of the real and the imaginary parts of the two-dimensional Fourier transforms.

    Source: S. Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring", 2021.
    """

    def __init__(self, options: FFT) -> None:
        super().__init__(options)
        self.norm = options.norm

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        spectrum = torch.fft.fft2(output - target, norm=self.norm)
        return torch.view_as_real(spectrum).abs().mean()


class FocalFrequencyLoss(Loss):
    """Mean squared distance of the spectra, times its own square root to the power alpha, scaled to [0, 1].

    Source: L. Jiang et al., "Focal Frequency Loss for Image Reconstruction and Synthesis", 2021.
    """

    def __init__(self, options: FocalFrequency) -> None:
        super().__init__(options)
        self.options = options

    def distance(self, output: Tensor, target: Tensor, context: LossContext) -> Tensor:
        spectrum = torch.view_as_real(torch.fft.fft2(self._patches(output - target), norm="ortho"))
        squares = spectrum.square().sum(-1)
        return (self._weights(squares.detach()) * squares).mean()

    def _patches(self, x: Tensor) -> Tensor:
        """B C H W to B C P h P w to B C P P h w. Raises UsageError where P does not divide the sides."""
        count = self.options.patches
        height, width = x.shape[-2:]
        if height % count or width % count:
            raise UsageError(f"loss focal-frequency: crops of {width}x{height} px do not divide into patches: {count}")
        parts = x.reshape(*x.shape[:-2], count, height // count, count, width // count)
        return parts.transpose(-3, -2)

    def _weights(self, squares: Tensor) -> Tensor:
        """In [0, 1]; zero where output and target are equal, so that nothing is divided by zero."""
        weights = squares.sqrt() ** self.options.alpha
        if self.options.log:
            weights = weights.log1p()
        largest = weights.max() if self.options.whole_batch else weights.amax((-2, -1), keepdim=True)
        return torch.where(largest > 0, weights / largest, 0)
