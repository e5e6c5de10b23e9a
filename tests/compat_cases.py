"""What vidsr.compat is compared with the reference on: pictures, small networks, arguments.

Nothing is stored but the reference's results (goldens_compat/, remade by benchmarks/oracle_compat.py). The generator
of random numbers is NumPy's frozen one, so that the same pictures and weights come out everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]

GOLDENS = Path(__file__).parent / "goldens_compat" / "reference.npz"

FEATURES, CONVOLUTIONS, GROWTH = 8, 12, 4
"""Of the small networks. They see 14 (compact) and 19 pixels (rrdb), more than tiles of the reference overlap."""

REAL = {"animevideov3": ("compact", 4, 64, 16), "x4plus-anime": ("rrdb", 4, 64, 6)}
"""Built-in networks: architecture, scale, features, convolutions or blocks."""


@dataclass(frozen=True)
class Case:
    """One call of the reference. `networks` are names that `weights` or `REAL` knows, two of them to be mixed."""

    networks: tuple[str, ...]
    picture: Array
    options: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    key: str = "params"
    """Under which the weights lie in their file."""

    @property
    def scale(self) -> int:
        return REAL[self.networks[0]][1] if self.networks[0] in REAL else int(self.networks[0][-1])


def picture(channels: int, height: int = 13, width: int = 17, bits: int = 8, seed: int = 0) -> Array:
    """H W (no channels: 0) or H W C: waves, a hard edge and noise, from black to white."""
    random = np.random.RandomState(seed)
    rows, columns, planes = np.mgrid[:height, :width, : channels or 1]
    values = 0.5 + 0.4 * np.sin(rows / 3 + planes) * np.cos(columns / (4 + planes))
    values[height // 3 : height // 2, width // 4 : width // 2] = (1, 0, 0.5, 0)[channels % 4]
    values = values + random.uniform(-0.15, 0.15, values.shape)
    codes: Array = np.round(np.clip(values, 0, 1) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return codes if channels else codes[..., 0].copy()


def weights(name: str) -> dict[str, torch.Tensor]:
    """A state dict: compact4, compact2, rrdb4, rrdb2 or rrdb1, with `other-` in front for other numbers."""
    random = np.random.RandomState(sum(map(ord, name)))
    kind, scale = name.removeprefix("other-")[:-1], int(name[-1])
    shapes = _compact(scale) if kind == "compact" else _rrdb(scale)
    last, state = list(shapes)[-1], {}
    for layer, shape in shapes.items():
        if len(shape) == 1:
            state[f"{layer}.weight"] = random.uniform(0.1, 0.4, shape)
            continue
        gain = 1.3 if layer != last else 0.15 if kind == "compact" else (0.15, 0.25, 0, 1)[scale - 1]
        state[f"{layer}.weight"] = random.standard_normal(shape) * gain / np.prod(shape[1:]) ** 0.5
        state[f"{layer}.bias"] = random.standard_normal(shape[0]) * 0.05 + (layer == last) * (kind == "rrdb") * 0.5
    return {key: torch.tensor(value, dtype=torch.float32) for key, value in state.items()}


def _compact(scale: int) -> dict[str, tuple[int, ...]]:
    ends = [3, *[FEATURES] * (CONVOLUTIONS + 1), 3 * scale**2]
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(CONVOLUTIONS + 2):
        shapes[f"body.{2 * number}"] = (ends[number + 1], ends[number], 3, 3)
        if number <= CONVOLUTIONS:
            shapes[f"body.{2 * number + 1}"] = (FEATURES,)
    return shapes


def _rrdb(scale: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"conv_first": (FEATURES, 3 * (4 // scale) ** 2, 3, 3)}
    for dense in (1, 2, 3):
        for layer in (1, 2, 3, 4, 5):
            outputs = FEATURES if layer == 5 else GROWTH
            shapes[f"body.0.rdb{dense}.conv{layer}"] = (outputs, FEATURES + (layer - 1) * GROWTH, 3, 3)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        shapes[name] = (FEATURES, FEATURES, 3, 3)
    return shapes | {"conv_last": (3, FEATURES, 3, 3)}


def save(state: dict[str, torch.Tensor], path: Path, key: str = "params") -> Path:
    """A checkpoint as the releases have it. Under `both`, other weights lie beside the averaged ones."""
    content = {"params": {name: tensor * 0.5 for name, tensor in state.items()}, "params_ema": state}
    torch.save(content if key == "both" else {key: state}, path)
    return path


_RGB, _GRAY, _RGBA = picture(3), picture(0), picture(4)
_FOUR, _PAIR = ("compact4",), ("compact4", "other-compact4")
_PLAIN = {"pre_pad": 0}


def _mixed(share: float, networks: tuple[str, ...] = _PAIR, key: str = "params") -> Case:
    return Case(networks, _RGB, {**_PLAIN, "dni_weight": [share, 1 - share]}, key=key)


CASES = {
    "gray": Case(_FOUR, _GRAY, _PLAIN),
    "gray padded": Case(_FOUR, _GRAY),
    "gray tiled": Case(_FOUR, _GRAY, {**_PLAIN, "tile": 8, "tile_pad": 3}),
    "rgb": Case(_FOUR, _RGB, _PLAIN),
    "rgb padded": Case(_FOUR, _RGB),
    "rgb averaged weights": Case(_FOUR, _RGB, _PLAIN, key="both"),
    "rgb to 1": Case(_FOUR, _RGB, _PLAIN, {"outscale": 1}),
    "rgb to 2": Case(_FOUR, _RGB, _PLAIN, {"outscale": 2}),
    "rgb to 3.5": Case(_FOUR, _RGB, _PLAIN, {"outscale": 3.5}),
    "rgb to 4": Case(_FOUR, _RGB, _PLAIN, {"outscale": 4}),
    "rgb of one pixel": Case(_FOUR, picture(3, 1, 1), _PLAIN),
    "rgb tiled": Case(_FOUR, picture(3, 19, 33), {**_PLAIN, "tile": 8}),
    "rgb tiled, narrow overlap": Case(_FOUR, picture(3, 19, 21), {**_PLAIN, "tile": 16, "tile_pad": 3}),
    "rgb tiled and padded": Case(_FOUR, picture(3, 23, 19), {"tile": 16, "tile_pad": 5, "pre_pad": 7}, {"outscale": 2}),
    "rgb in floats": Case(_FOUR, _RGB.astype(np.float32) + 0.25, _PLAIN),
    "rgba": Case(_FOUR, _RGBA, _PLAIN),
    "rgba padded, to 3.5": Case(_FOUR, _RGBA, {}, {"outscale": 3.5}),
    "rgba tiled": Case(_FOUR, _RGBA, {**_PLAIN, "tile": 8, "tile_pad": 2}),
    "rgba, other alpha": Case(_FOUR, _RGBA, _PLAIN, {"alpha_upsampler": "bicubic"}),
    "rgba, other alpha, to 2": Case(_FOUR, _RGBA, {}, {"alpha_upsampler": "bicubic", "outscale": 2}),
    "gray, 16 bit": Case(_FOUR, picture(0, 13, 11, 16), _PLAIN),
    "rgb, 16 bit": Case(_FOUR, picture(3, 13, 11, 16)),
    "rgb, 16 bit, tiled": Case(_FOUR, picture(3, 13, 19, 16), {**_PLAIN, "tile": 8, "tile_pad": 4}),
    "rgb, 16 bit, to 2": Case(_FOUR, picture(3, 13, 11, 16), _PLAIN, {"outscale": 2}),
    "rgb, 16 bit in floats": Case(_FOUR, picture(3, 13, 11, 16).astype(np.float32), _PLAIN),
    "rgba, 16 bit": Case(_FOUR, picture(4, 13, 11, 16), _PLAIN),
    "compact2": Case(("compact2",), _RGB, _PLAIN),
    "compact2 padded": Case(("compact2",), _RGB),
    "compact2 tiled, to 4": Case(("compact2",), _RGB, {**_PLAIN, "tile": 8, "tile_pad": 3}, {"outscale": 4}),
    "rrdb4": Case(("rrdb4",), _RGB, _PLAIN),
    "rrdb4 tiled": Case(("rrdb4",), _RGB, {**_PLAIN, "tile": 8, "tile_pad": 2}),
    "rrdb2": Case(("rrdb2",), _RGB, _PLAIN),
    "rrdb2 padded": Case(("rrdb2",), _RGB, {"pre_pad": 7}),
    "rrdb2 tiled": Case(("rrdb2",), picture(4, 25, 29), {**_PLAIN, "tile": 12, "tile_pad": 2}),
    "rrdb1": Case(("rrdb1",), _RGB, _PLAIN),
    "rrdb1 padded, to 2": Case(("rrdb1",), _RGB, {}, {"outscale": 2}),
    "mixed 0": _mixed(0.0),
    "mixed 0.3": _mixed(0.3),
    "mixed 1": _mixed(1.0),
    "mixed rrdb 0.3": _mixed(0.3, ("rrdb4", "other-rrdb4")),
    "real animevideov3": Case(("animevideov3",), _RGB, _PLAIN),
    "real animevideov3 tiled": Case(("animevideov3",), picture(3, 21, 17), {**_PLAIN, "tile": 8, "tile_pad": 4}),
    "real x4plus-anime": Case(("x4plus-anime",), picture(3, 13, 11), _PLAIN),
}
"""Where the reference's result is wanted: in every one vidsr.compat must be within one code."""

_LARGE = {**_PLAIN, "tile": 32}

LARGE = {
    "large gray": Case(("animevideov3",), picture(0, 53, 70), _LARGE),
    "large rgb": Case(("animevideov3",), picture(3, 53, 70), _LARGE, {"outscale": 3.5}),
    "large rgba": Case(("animevideov3",), picture(4, 53, 70), {"tile": 32}),
    "large rgb, 16 bit": Case(("animevideov3",), picture(3, 53, 70, 16), _LARGE),
    "large rrdb": Case(("x4plus-anime",), picture(3, 53, 70), _LARGE),
}
"""The tiles of every day; compared when the results are made, and not stored."""

FAULTY = {
    "dark, 16 bit": Case(_FOUR, picture(3, 13, 11, 16) // 256, _PLAIN),
    "mixed 0.3, averaged weights": _mixed(0.3, key="both"),
}
"""Where it is a fault of the reference's, which vidsr.compat does not have."""
