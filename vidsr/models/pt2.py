"""The weights in a `.pt2` file of `torch.export.save`. The program beside them is not loaded and not run.

The archive is a zip: `data/weights/model_weights_config.json` has a name, a type and sizes for each file of raw numbers
next to it. Source: `torch/export/pt2_archive` of PyTorch 2.10 and later.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError

CONFIG = "data/weights/model_weights_config.json"

TYPES = {6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16}
"""PyTorch's numbers for floating-point types in its export schema."""

CONTIGUOUS = 7
"""The schema's number for tensors whose numbers lie side by side."""


def is_pt2(data: bytes) -> bool:
    """Whether a zip archive is one of `torch.export.save`."""
    return any(name.endswith(CONFIG) for name in zipfile.ZipFile(io.BytesIO(data)).namelist())


def read_pt2(data: bytes) -> dict[str, Tensor]:
    """The state dict. Raises WeightsError for anything but dense floating-point numbers as they are."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            path = next(name for name in archive.namelist() if name.endswith(CONFIG))
            folder = path.removesuffix(path.rsplit("/", 1)[-1])
            entries = json.loads(archive.read(path))["config"]
            return {str(name): _tensor(name, entry, archive, folder) for name, entry in entries.items()}
    except (KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile, NotImplementedError) as error:
        raise WeightsError(f"damaged .pt2 file: {error}") from error


def _tensor(name: str, entry: Mapping[str, Any], archive: zipfile.ZipFile, folder: str) -> Tensor:
    meta = entry["tensor_meta"]
    dtype, sizes = TYPES.get(meta["dtype"]), [size["as_int"] for size in meta["sizes"]]
    if entry["use_pickle"] or dtype is None or meta["layout"] != CONTIGUOUS:
        raise WeightsError(f"refused, {name} in the .pt2 file is no plain floating-point tensor")
    raw = archive.read(f"{folder}{entry['path_name']}")
    if min(sizes, default=1) < 0 or prod(sizes) * dtype.itemsize != len(raw):
        raise WeightsError(f"damaged .pt2 file: {name} has {len(raw)} bytes, expected {sizes} of {dtype}")
    if not _in_order(sizes, [step["as_int"] for step in meta["strides"]]) or meta["storage_offset"]["as_int"]:
        raise WeightsError(f"refused, the numbers of {name} in the .pt2 file do not lie in order")
    return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(sizes) if raw else torch.empty(sizes, dtype=dtype)


def _in_order(sizes: list[int], strides: list[int]) -> bool:
    """Whether the last axis runs fastest; strides of axes of length 1 say nothing."""
    expected = [prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return all(size == 1 or step == wanted for size, step, wanted in zip(sizes, strides, expected, strict=True))
