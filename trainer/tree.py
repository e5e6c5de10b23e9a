"""Nested states as flat tensors and JSON: what a safetensors file can hold, and nothing that runs code.

Tensors go out under dotted names; dicts with keys that are no text, tuples and arrays are marked so that they come
back as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

_TENSOR, _TUPLE, _ITEMS, _ARRAY = "$tensor", "$tuple", "$items", "$array"


def pack(tree: Any, name: str = "") -> tuple[dict[str, Tensor], Any]:
    """(tensors on the CPU by dotted name, a skeleton of JSON values that refers to them)."""
    tensors: dict[str, Tensor] = {}
    return tensors, _packed(tree, name, tensors)


def _packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    def inner(key: Any, item: Any) -> Any:
        return _packed(item, f"{name}.{key}" if name else str(key), tensors)

    if isinstance(value, Tensor):
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()  # the format wants no two that share memory
        return {_TENSOR: name}
    if isinstance(value, np.ndarray):
        return {_ARRAY: [value.dtype.str, value.tolist()]}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: inner(key, item) for key, item in value.items()}
        return {_ITEMS: [[key, inner(key, item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [inner(place, item) for place, item in enumerate(value)]}
    if isinstance(value, list):
        return [inner(place, item) for place, item in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold")


def unpack(tensors: Mapping[str, Tensor], skeleton: Any) -> Any:
    """What `pack` was given. Raises KeyError when a tensor is missing."""
    if isinstance(skeleton, list):
        return [unpack(tensors, item) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    if _TENSOR in skeleton:
        return tensors[skeleton[_TENSOR]]
    if _ARRAY in skeleton:
        kind, values = skeleton[_ARRAY]
        return np.array(values, dtype=kind)
    if _TUPLE in skeleton:
        return tuple(unpack(tensors, item) for item in skeleton[_TUPLE])
    if _ITEMS in skeleton:
        return {key: unpack(tensors, item) for key, item in skeleton[_ITEMS]}
    return {key: unpack(tensors, item) for key, item in skeleton.items()}
