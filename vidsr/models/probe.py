"""What a network of unknown making does, found by running it: its scale, which sizes it takes, and how far it sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import product, takewhile
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import OutputError, WeightsError
from ..fs import write_atomically
from . import store

Network = Callable[[Tensor], Tensor]
"""1 3 H W float32 in [0, 1] to 1 3 sH sW; raises anything for sizes that it does not take."""

VERSION = 1
"""Of what is kept on disk; another one is not read."""

STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64)
"""Rules that are tried: both sides a multiple of one of these."""
PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
"""Sides are a step times one of these: multiples of the step and of nothing larger."""
SIDE = 32
"""Pixels that a side has at least when rules are tried."""
LENGTHS = (64, 160, 256)
"""Of the strips on which it is looked how far a network sees, until the edge of one is not reached."""
BREADTH = 16
PHASES = {0, 7, 15}
"""Places of the changed pixel in a cell of 16: networks that work in windows see farther from the edge of one."""
FARTHEST = LENGTHS[-1] // 2
"""Radius that stands for this and everything beyond."""


@dataclass(frozen=True)
class Probed:
    """The figures of `Descriptor`, in pixels of the input. A `receptive_field` of FARTHEST may be larger in truth."""

    scale: int
    multiple_of: int
    minimum: int
    receptive_field: int


@torch.inference_mode()
def probe(network: Network, known: tuple[int, int, int] | None = None) -> Probed:
    """Run `network` on small noise; `known` is its scale, size rule and least side where somebody said them.

    How far a pixel is felt is looked at twice, since neither way finds all: NaN passes through everything but some
    activations, and a large change passes through those. Raises WeightsError when no size is taken, or a picture comes
    out that is none.
    """
    if known is None:
        scale, step = _rule(network)
        least = next(side for side in (step * 2**n for n in range(9)) if _scale(network, side, side) == scale)
        known = (scale, step, least)
    return Probed(*known, _reach(network, *known))


def remembered(network: Network, sha256: str, known: tuple[int, int, int] | None = None) -> Probed:
    """What `probe` found of these weights at any time before, else what it finds now; kept on disk where possible."""
    path = store.cache_folder().parent / "probes" / f"{sha256}-{VERSION}.json"
    try:
        return Probed(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        found = probe(network, known)
    with suppress(OSError, OutputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(found)).encode())
    return found


def _rule(network: Network) -> tuple[int, int]:
    """The scale, and the smallest step of which both sides must be multiples."""
    for step in STEPS:
        first, second = [prime for prime in PRIMES if prime * step >= SIDE][:2]
        scale = _scale(network, step * first, step * second)
        if scale:
            return scale, step
    told = _told(network, 64, 64)
    raise WeightsError(
        f"the network gives no picture of a whole multiple of the size that goes in: 64x64 gives {told}",
        "networks that cut the edges off, and those for one fixed size, cannot be used",
    )


def _scale(network: Network, height: int, width: int) -> int:
    """The whole factor by which a picture of this size gets larger, 0 when it does not come out so."""
    try:
        shape = tuple(network(_noise(height, width)).shape)
    except Exception:  # every library has errors of its own for a size that does not fit
        return 0
    scale = shape[2] // height if len(shape) == 4 else 0
    return scale if scale and shape == (1, 3, scale * height, scale * width) else 0


def _told(network: Network, height: int, width: int) -> str:
    try:
        return "x".join(map(str, network(_noise(height, width)).shape))
    except Exception as error:
        return f"the error {str(error).splitlines()[0] if str(error) else type(error).__name__}"


def _noise(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height * 4099 + width))


def _reach(network: Network, scale: int, step: int, minimum: int) -> int:
    """Radius, in input pixels, of what one input pixel changes; FARTHEST when it is felt beyond all strips."""

    def up(length: int) -> int:
        return -(-max(length, minimum) // step) * step

    offsets = sorted(PHASES | {step // 2, step - 1})
    for length in LENGTHS:
        sides = (up(length), up(BREADTH))
        tries = product((torch.nan, 1e3), (2, 3), offsets)
        found = (
            _felt(network, scale, _Try(axis, *(sides if axis == 2 else sides[::-1]), offset, change))
            for change, axis, offset in tries
        )
        reached = list(takewhile(lambda radius: radius is not None, found))
        if len(reached) == 4 * len(offsets):
            return max(radius for radius in reached if radius is not None)
    return FARTHEST


class _Try(NamedTuple):
    """A change of one pixel of a strip; `axis` is the long one."""

    axis: int
    height: int
    width: int
    offset: int
    """From the middle of the strip along `axis`, rounded down to a cell of 16."""
    change: float


def _felt(network: Network, scale: int, tried: _Try) -> int | None:
    """How far along its axis the change goes; None when it reaches an edge."""
    noise = _noise(tried.height, tried.width)
    length = noise.shape[tried.axis]
    along = min(length // 32 * 16 + tried.offset, length - 1)
    places = (along, tried.width // 2) if tried.axis == 2 else (tried.height // 2, along)
    changed = noise.clone()
    changed[0, :, places[0], places[1]] += tried.change
    differs = network(changed) != network(noise)  # NaN differs from everything
    lines = differs.any(dim=1).any(dim=0).any(dim=3 - tried.axis).nonzero().flatten() // scale
    if not len(lines):
        return 0
    first, last = int(lines[0]), int(lines[-1])
    return None if first == 0 or last == length - 1 else max(along - first, last - along)
