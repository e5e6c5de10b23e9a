"""How a network will run on this machine: settled before the first frame, from the options and the free memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..models.descriptor import Descriptor
from ..options import Options
from .choose import check_name, precision_for
from .device import DTYPES
from .memory import SHARE, bytes_per_pixel, free_bytes, tile_side

LARGEST_EXACT_OVERLAP = 64
"""Receptive fields up to this many pixels make tiles exact; RRDB networks see farther than tiles can afford."""

RAMP = 8
"""Input pixels on each side of a seam over which two tiles are mixed where they do not agree."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How the network will run. Lengths are in input pixels; a `tile` of 0 is the whole frame."""

    device: torch.device
    precision: str
    runtime: str
    """A name that `runtime.choose.make_runtime` knows."""
    batch: int
    """Frames, or tiles of equal size, that go through the network together."""
    tile: int
    overlap: int
    ramp: int
    """Half the width of soft seams, 0 for hard ones."""
    reuse: bool
    """Whether what did not change is taken from the frame before."""
    cache: int
    """Bytes that may be kept from one frame to the next for that."""


def plan_engine(
    network: Descriptor, options: Options, device: torch.device, height: int, width: int
) -> tuple[Engine, list[str]]:
    """The engine for frames of `height` by `width`, and what should be known of it.

    Raises UsageError for a runtime or a precision that is unknown or not possible.
    """
    check_name(options.runtime)
    precision = precision_for(options.runtime, options.precision, device, network.dtypes)
    batch = options.batch if options.batch != "auto" else 1 if device.type == "cpu" else 4
    exact = min(network.receptive_field, LARGEST_EXACT_OVERLAP)
    overlap = exact if options.tile_pad is None else options.tile_pad
    free = free_bytes(device)
    tile = options.tile
    if tile == "auto":
        side = tile_side(network, DTYPES[precision].itemsize, height, width, overlap, free // batch)
        tile = side if network.tiles else 0
    agree = not tile or overlap >= network.receptive_field
    ramp = 0 if agree or options.tile_pad is not None else min(RAMP, overlap)
    pass_bytes = bytes_per_pixel(network, DTYPES[precision].itemsize) * height * width * batch
    engine = Engine(
        device=device,
        precision=precision,
        runtime=options.runtime,
        batch=batch,
        tile=tile,
        overlap=overlap,
        ramp=ramp,
        reuse=options.reuse != "off",
        cache=max(0, int(free * SHARE) - pass_bytes),
    )
    notes = [] if agree else [_seams(overlap, network.receptive_field, ramp)]
    if tile and not network.tiles:
        notes.append(f"the makers of {network.arch} advise against tiles")
    return engine, notes


def _seams(overlap: int, sees: int, ramp: int) -> str:
    soft = ", which are mixed over a few pixels" if ramp else ""
    return (
        f"tiles overlap by {overlap} px and this network sees {sees} px: "
        f"the result may differ slightly from a whole frame near the seams{soft}"
    )
