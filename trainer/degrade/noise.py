"""Gaussian and Poisson noise, in colour or gray, at a strength per sample. Real-ESRGAN, section 3.2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from .canvas import Canvas, per_sample

LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in gray, with the digits that torchvision and therefore the reference use."""


@dataclass(frozen=True, slots=True)
class NoiseDraw:
    """What noise a sample gets."""

    kind: Literal["gaussian", "poisson"]
    level: float
    """Gaussian: standard deviation in codes of 0 to 255. Poisson: factor on the noise."""
    gray: bool
    seed: int = 0
    gray_seed: int = 0
    """Of the random pixels; gray Gaussian fields have their own, which the samples of a batch may share."""


class Fields(Protocol):
    """Where the random pixels of one sample come from."""

    def normal(self, shape: tuple[int, int, int]) -> Tensor:
        """C H W from the standard normal distribution; C is 1 for gray noise."""
        ...

    def poisson(self, rates: Tensor) -> Tensor:
        """C H W from Poisson distributions with those rates."""
        ...


class SeededFields:
    """Fields from the seeds of a draw, made on the device; every call gives new numbers."""

    def __init__(self, draw: NoiseDraw, device: torch.device) -> None:
        self._device = device
        self._colour = torch.Generator(device).manual_seed(draw.seed)
        self._gray = torch.Generator(device).manual_seed(draw.gray_seed)

    def normal(self, shape: tuple[int, int, int]) -> Tensor:
        generator = self._gray if shape[0] == 1 else self._colour
        return torch.randn(shape, generator=generator, device=self._device)

    def poisson(self, rates: Tensor) -> Tensor:
        return torch.poisson(rates.contiguous(), generator=self._colour)


def add_noise(canvas: Canvas, noises: Sequence[tuple[NoiseDraw, Fields] | None]) -> Canvas:
    """Every picture with its own noise, cut to [0, 1]; those with None as they are."""
    for kind, noise_of in (("gaussian", gaussian), ("poisson", poisson)):
        chosen = {number: noise for number, noise in enumerate(noises) if noise and noise[0].kind == kind}
        if chosen:
            pictures = canvas.take(list(chosen))
            draws, fields = zip(*chosen.values(), strict=True)
            noise = noise_of(pictures, draws, fields)
            canvas = canvas.put(list(chosen), pictures.replaced((pictures.pixels + noise).clamp(0, 1)))
    return canvas


def gaussian(canvas: Canvas, noises: Sequence[NoiseDraw], fields: Sequence[Fields]) -> Tensor:
    """N 3 H W noise of standard deviation `level` / 255; a gray picture has one field for its three channels."""
    field = _each(canvas, noises, lambda number, shape: fields[number].normal(shape))
    return field * per_sample([noise.level / 255 for noise in noises], field)


def poisson(canvas: Canvas, noises: Sequence[NoiseDraw], fields: Sequence[Fields]) -> Tensor:
    """N 3 H W shot noise times `level`: the picture in 8 bit, counted in photons, less itself.

    White is as many photons as the picture has different codes, rounded up to a power of two (scikit-image's rule for
    pictures of unknown scale). Gray noise is that of the luma.
    """
    gray = torch.tensor([noise.gray for noise in noises], device=canvas.pixels.device).view(-1, 1, 1, 1)
    source = torch.where(gray, luma(canvas.pixels), canvas.pixels)
    codes = (source * 255).round().clamp(0, 255)
    photons = photons_of_white(codes, canvas.inside())
    clean = codes / 255
    rates = clean * photons

    def drawn(number: int, shape: tuple[int, int, int]) -> Tensor:
        channels, height, width = shape
        return fields[number].poisson(rates[number, :channels, :height, :width])

    counts = _each(canvas, noises, drawn)
    return (counts / photons - clean) * per_sample([noise.level for noise in noises], clean)


def luma(pixels: Tensor) -> Tensor:
    """N 1 H W."""
    red, green, blue = (pixels[:, channel : channel + 1] for channel in range(3))
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def photons_of_white(codes: Tensor, inside: Tensor) -> Tensor:
    """N 1 1 1: the number of different values in each picture of N C H W `codes` (0 to 255), up to a power of two."""
    outside = 256
    bins = torch.where(inside, codes, outside).long().flatten(1)
    seen = torch.zeros(len(codes), outside + 1, dtype=torch.bool, device=codes.device).scatter_(1, bins, True)
    powers = torch.tensor([2.0 ** max(0, count - 1).bit_length() for count in range(outside + 1)], device=codes.device)
    return powers[seen[:, :outside].sum(1)].view(-1, 1, 1, 1)


def _each(canvas: Canvas, noises: Sequence[NoiseDraw], draw: Callable[[int, tuple[int, int, int]], Tensor]) -> Tensor:
    """N 3 H W: for each picture what `draw` gives for its number and the shape of its noise, zero outside."""
    field = torch.zeros_like(canvas.pixels)
    for number, (noise, (height, width)) in enumerate(zip(noises, canvas.sizes, strict=True)):
        field[number, :, :height, :width] = draw(number, (1 if noise.gray else 3, height, width))
    return field
