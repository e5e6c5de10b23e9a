"""Pictures of several sizes in one tensor, so that a batch whose samples were resized by different factors still takes
one call per operation: on a GPU the number of calls is what a degradation costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """N 3 H W float32 RGB; picture i lies in the top left `sizes[i]` pixels. What lies outside is finite and has
    no meaning.
    """

    pixels: Tensor
    sizes: tuple[Size, ...]

    @classmethod
    def of(cls, pixels: Tensor) -> Canvas:
        """Pictures of one size, which fill it."""
        return cls(pixels, (_extent(pixels),) * len(pixels))

    @property
    def full(self) -> bool:
        """Whether every picture fills the canvas."""
        return all(size == _extent(self.pixels) for size in self.sizes)

    def replaced(self, pixels: Tensor) -> Canvas:
        """Other pixels, same sizes."""
        return Canvas(pixels, self.sizes)

    def take(self, numbers: Sequence[int]) -> Canvas:
        """Some of the pictures, on a canvas that is no larger than they need."""
        sizes = tuple(self.sizes[number] for number in numbers)
        height, width = (max(lengths) for lengths in zip(*sizes, strict=True))
        chosen = self.pixels if list(numbers) == list(range(len(self.sizes))) else self.pixels[list(numbers)]
        return Canvas(chosen[..., :height, :width], sizes)

    def put(self, numbers: Sequence[int], pictures: Canvas) -> Canvas:
        """The pictures of the same sizes that `take` gave, changed, at their old places."""
        if len(numbers) == len(self.sizes):
            return pictures
        pixels = self.pixels.clone()
        height, width = _extent(pictures.pixels)
        pixels[list(numbers), :, :height, :width] = pictures.pixels
        return self.replaced(pixels)

    def inside(self) -> Tensor:
        """N 1 H W, true where a picture is."""
        lengths = torch.tensor(self.sizes, device=self.pixels.device)
        down, across = (torch.arange(length, device=self.pixels.device) for length in _extent(self.pixels))
        rows, columns = down < lengths[:, :1], across < lengths[:, 1:]
        return (rows[:, :, None] & columns[:, None, :])[:, None]


def per_sample(values: Sequence[float], like: Tensor) -> Tensor:
    """One number for each picture: N 1 1 1, on the device and in the dtype of `like`."""
    return like.new_tensor(np.asarray(values, np.float32)).view(-1, 1, 1, 1)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Plain float32 without gradients, whatever the training around it has chosen for its networks.

    Rounding in JPEG makes errors of TensorFloat-32 or bfloat16 visible.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _extent(pixels: Tensor) -> Size:
    return pixels.shape[-2], pixels.shape[-1]
