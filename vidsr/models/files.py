"""Weights files from strangers: read without running anything in them, and within bounds of memory.

A file is read once, into memory; what was hashed is what is parsed.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import re
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ..errors import OutputError, WeightsError
from ..fs import write_atomically
from .cards import KEY, Card, read_card
from .ncnn import read_ncnn
from .pt2 import is_pt2, read_pt2
from .recover import normalise
from .store import sha256_of

LARGEST = 1 << 30
"""Bytes of a weights file, and of the tensors in it."""


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises WeightsError when it is missing, empty or larger than LARGEST."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise WeightsError(f"weights {path} is no file")
        if not 0 < size <= LARGEST:
            raise WeightsError(
                f"weights {path} has {size} bytes, allowed are 1 to {LARGEST}",
                "" if size else "an empty file is left by a failed download: delete it and download again",
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise WeightsError(f"weights {path} does not exist", "vidsr models list shows the built-in names") from None
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}") from error


def parse(path: Path, data: bytes) -> dict[str, Tensor]:
    """The state dict, float32, in a `.safetensors`, `.pth`, `.pt2` or ncnn `.bin` file; `data` is its content.

    Raises WeightsError, which names the file, for everything that is not plain tensors.
    """
    try:
        if path.suffix.lower() in (".param", ".bin"):
            text = read_bytes(path.with_suffix(".param")).decode("utf-8", "replace")
            return read_ncnn(text, data)
        content = _parse_safetensors(data) if path.suffix.lower() == ".safetensors" else _parse_torch(data)
        _check_memory(content)
        return normalise(content)
    except WeightsError as error:
        raise WeightsError(f"weights {path}: {error}", error.hint) from error


def _parse_safetensors(data: bytes) -> dict[str, Tensor]:
    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > len(data) - 8:
        raise WeightsError(f"the header claims {header} bytes in a file of {len(data)} bytes")
    try:
        return dict(safetensors.torch.load(data))
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"no valid safetensors file: {_line(error)}") from error


def _parse_torch(data: bytes) -> dict[str, Any]:
    """A checkpoint of torch.save, in its zip or its older form, by the loader that allows tensors only."""
    try:
        with warnings.catch_warnings(action="ignore"):  # remarks on odd pickles, which load or are refused all the same
            if data.startswith(b"PK\x03\x04"):  # torch.load's rule too, so that what is checked is what is parsed
                _check_zip(data)
            else:
                _check_pickles(data)
            if data.startswith(b"PK\x03\x04") and is_pt2(data):
                return dict(read_pt2(data))
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"it asks to run {named[1]}" if named else "it is no pickle of plain tensors"
        raise WeightsError(
            f"refused, {what}; allowed are plain tensors", "ask its author for a .safetensors file"
        ) from error
    except Exception as error:  # on damaged files the parser fails in any way, assertions among them
        raise WeightsError(f"damaged, or no PyTorch checkpoint: {_line(error)}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"holds a {type(content).__name__}, expected a dict of tensors")
    return content


def _check_zip(data: bytes) -> None:
    """Refuse programs (TorchScript), and archives that unpack to more than they are."""
    try:
        entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise WeightsError(f"damaged, or no PyTorch checkpoint: {_line(error)}") from error
    for entry in entries:
        if entry.filename.endswith("/constants.pkl") or "/code/" in entry.filename:
            raise WeightsError(
                "refused, TorchScript holds a program; allowed are plain tensors",
                "save the state dict of the network instead",
            )
    declared = sum(entry.file_size for entry in entries)
    if declared > len(data):
        raise WeightsError(f"refused, it declares {declared} bytes of content in a file of {len(data)} bytes")


def _check_pickles(data: bytes) -> None:
    """Refuse a checkpoint of the older form that claims more numbers than the file can hold.

    It begins with five pickles (magic number, version, machine, tensors, storage keys); sizes stand in the fourth.
    """
    stream = io.BytesIO(data)
    try:
        for index in range(5):
            if stream.tell() == len(data):
                return
            for _, argument, _ in pickletools.genops(stream):
                if index >= 3 and isinstance(argument, int) and argument > len(data):
                    raise WeightsError(f"refused, it claims {argument} numbers in a file of {len(data)} bytes")
    except ValueError as error:
        raise WeightsError(f"damaged, or no PyTorch checkpoint: {_line(error)}") from error


def _check_memory(content: dict[str, Any]) -> None:
    """Refuse tensors that take more memory than the limit once they are copied: a view may repeat one number."""
    inner = [value for value in content.values() if isinstance(value, dict)]
    tensors = [item for part in (content, *inner) for item in part.values() if isinstance(item, Tensor)]
    size = sum(tensor.numel() * 4 for tensor in tensors)
    if size > 3 * LARGEST:  # a training checkpoint holds the weights, their average and both moments of Adam
        raise WeightsError(f"refused, its tensors take {size} bytes, allowed are {3 * LARGEST}")


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values of a state dict, in order of the names; floating-point ones as float32."""
    total = hashlib.sha256()
    for key in sorted(state):
        total.update(f"{key} {tuple(state[key].shape)}\n".encode())
        values = state[key].contiguous().numpy()
        total.update((values.astype("<f4") if state[key].is_floating_point() else values).tobytes())
    return total.hexdigest()


def write_converted(path: Path, state: dict[str, Tensor], card: Card) -> None:
    """Keep a state dict as safetensors, with its card, to which its digest is added. Raises WeightsError."""
    said = replace(card, digest=digest(state))
    apart = {key: value.clone() for key, value in state.items()}  # the format wants no two that share memory
    data = safetensors.torch.save(apart, {KEY: said.text()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except (OSError, OutputError) as error:
        raise WeightsError(f"weights folder {path.parent} cannot be written: {error}", "set VIDSR_HOME") from error


def read_converted(path: Path) -> tuple[dict[str, Tensor], Card]:
    """The state dict that `write_converted` kept, and its card. Raises WeightsError if either was altered."""
    state, card = parse(path, read_bytes(path)), read_card(path)
    if card is None or digest(state) != card.digest:
        expected = card.digest if card else "none"
        raise WeightsError(
            f"weights {path} were altered: digest {digest(state)}, expected {expected}",
            "delete the file; it is made again when it is needed",
        )
    return state, card


def check_sha256(path: Path, data: bytes, expected: str | None) -> str:
    """The hash of `data`. Raises WeightsError when `expected` is another one."""
    seen = sha256_of(data)
    if expected is not None and seen != expected:
        raise WeightsError(
            f"weights {path}: sha256 differs (expected {expected}, got {seen})",
            "the file is damaged or altered: delete it; if it is your own, give it another name",
        )
    return seen


def _line(error: Exception) -> str:
    """The first line of an error of a library."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
