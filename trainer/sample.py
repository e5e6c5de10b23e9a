"""The nouns that travel through a training run.

Letters of shapes: N samples of a batch, T frames of a clip (1 for pictures), H W pixels, h w = H / scale, W / scale.
Colour order is RGB everywhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Key:
    """Names a draw: the same key gives the same bytes, whatever the number of workers and whatever was drawn before."""

    seed: int
    epoch: int
    index: int

    def rng(self, stream: str = "") -> np.random.Generator:
        """A fresh generator for one purpose, named by `stream`.

        Philox is counter-based (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), so any key will
        do; a hash makes keys that differ by one independent of each other.
        """
        name = f"{self.seed}/{self.epoch}/{self.index}/{stream}".encode()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(name).digest()[:16], "little")))


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a data set, made in a loader process."""

    gt: torch.Tensor
    """T 3 H W uint8 RGB."""
    lq: torch.Tensor | None
    """T 3 h w uint8 RGB; None where the device degrades (`Classic`)."""
    key: Key
    name: str
    """The file, and time in it, that it came from, for messages."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples on the device, as the networks and losses take them."""

    gt: torch.Tensor
    """N T 3 H W float32 RGB in [0, 1]."""
    lq: torch.Tensor
    """N T 3 h w float32 RGB in [0, 1], multiples of 1/255."""
    gt_usm: torch.Tensor | None
    """N T 3 H W float32 RGB in [0, 1]: sharpened `gt`, where a loss asks for it."""
    names: tuple[str, ...]
