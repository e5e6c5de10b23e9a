"""What kind of picture an array is, and how it comes apart into planes and together again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..frames import Plane
from .alpha import bled

Array = NDArray[Any]

_ALLOWED = "H W, H W 1 (gray), H W 2 (gray, alpha), H W 3 (RGB) or H W 4 (RGB, alpha)"


@dataclass(frozen=True, slots=True)
class Kind:
    """The shape and dtype that all frames of a film share. `flat` is H W without an axis for the channels."""

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    flat: bool = False

    @staticmethod
    def of(image: Array) -> Kind:
        """Raises UsageError for what is no picture of uint8, uint16 or float32."""
        if not isinstance(image, np.ndarray) or image.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.float32):
            seen = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
            raise UsageError(f"a picture is an array of uint8, uint16 or float32, this is {seen}")
        height, width, channels = (*image.shape, 1)[:3] if image.ndim in (2, 3) else (0, 0, 0)
        if channels not in (1, 2, 3, 4) or not height * width:
            raise UsageError(f"a picture is {_ALLOWED}, this has the shape {image.shape}")
        return Kind(height, width, channels, image.dtype.newbyteorder("="), image.ndim == 2)

    @property
    def has_alpha(self) -> bool:
        return self.channels in (2, 4)

    @property
    def is_gray(self) -> bool:
        return self.channels < 3

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"

    def check(self, frame: Array) -> None:
        """Raises UsageError for a frame of another kind, and for floats that are not finite."""
        if Kind.of(frame) != self:
            seen = f"{frame.shape} of {frame.dtype}"
            raise UsageError(
                f"a frame is {seen}, the first was {self.height}x{self.width}x{self.channels} of {self.dtype}"
            )
        if self.is_float and not np.isfinite(frame).all():
            raise UsageError("a picture holds values that are NaN or infinite, which no network can take")

    def colours(self, frame: Array) -> tuple[Plane, ...]:
        """New planes of gray or of RGB, H W, with sensible colours where nothing is visible."""
        pixels = frame.reshape(self.height, self.width, self.channels)
        colour = pixels[..., :-1] if self.has_alpha else pixels
        colour = bled(colour, pixels[..., -1]) if self.has_alpha else colour
        return tuple(np.array(colour[..., channel], self.dtype, order="C") for channel in range(colour.shape[2]))

    def alpha(self, frame: Array) -> Plane:
        """A new plane of the last channel."""
        return np.array(frame[..., -1], self.dtype, order="C")

    def joined(self, planes: tuple[Plane, ...]) -> Array:
        """A new array of the same kind, but for its size and what `planes` leave out."""
        return planes[0].copy() if self.flat else np.stack(planes, axis=-1)
