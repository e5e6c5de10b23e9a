"""Planes of float32, coded in [0, 1], to RGB and back: what `planes` does for planes of whole codes."""

from __future__ import annotations

from torch import Tensor

from .planes import FromRGB, ToRGB


class FloatsToRGB(ToRGB):
    """`ToRGB` for RGB and gray planes of float32; values outside of [0, 1] are clipped."""

    def _decode(self, plane: Tensor, offset: int, span: int) -> Tensor:
        return plane


class FloatsFromRGB(FromRGB):
    """`FromRGB` for RGB and gray planes of float32, which are in [0, 1] and not rounded."""

    def _encode(
        self, planes: tuple[Tensor, ...], first: int, chroma: bool, scales: tuple[float, ...] = (1.0, 1.0, 1.0)
    ) -> tuple[Tensor, ...]:
        return tuple(plane.clamp(0, 1).contiguous() for plane in planes)
