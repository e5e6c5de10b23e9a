"""What Triton's interpreter (3.9) gets wrong about bfloat16, put right: it multiplies the bits, and cuts off fractions.

The kernels stay as they are; a GPU does both as PyTorch does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import triton.language as tl
from numpy.typing import NDArray
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle


def repair_bfloat16() -> None:
    multiply, cast = InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl

    def create_dot(self: Any, a: Any, b: Any, *others: Any) -> Any:
        return multiply(self, _widened(a), _widened(b), *others)

    def cast_impl(self: Any, handle: Any, dtype: Any) -> Any:
        if handle.dtype.scalar == tl.bfloat16 and dtype.scalar == tl.float32:
            return _widened(handle)
        if handle.dtype.scalar == tl.float32 and dtype.scalar == tl.bfloat16:
            return TensorHandle(_rounded(handle.data), tl.bfloat16)
        return cast(self, handle, dtype)

    InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl = create_dot, cast_impl


def _widened(handle: Any) -> Any:
    if handle.dtype.scalar != tl.bfloat16:
        return handle
    bits = np.ascontiguousarray(handle.data).astype(np.uint32) << 16
    return TensorHandle(bits.view(np.float32), tl.float32)


def _rounded(values: NDArray[Any]) -> NDArray[Any]:
    """float32 to the bits of the nearest bfloat16."""
    rounded = torch.from_numpy(np.ascontiguousarray(values)).to(torch.bfloat16)
    bits: NDArray[Any] = rounded.view(torch.int16).numpy().view(np.uint16)
    return bits
