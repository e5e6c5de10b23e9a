"""Global random numbers of every kind: samples and degradations use none, but a network or a loss might."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed Python, numpy, and torch on all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def state_dict() -> dict[str, Any]:
    """The state of all global generators; on GPUs that of the process's own, for each has one."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def load_state_dict(state: dict[str, Any]) -> None:
    """Put all global generators back. That of a GPU is left out where there is none now."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def kept() -> Iterator[None]:
    """Whatever is drawn inside, the global generators are afterwards as they were."""
    before = state_dict()
    try:
        yield
    finally:
        load_state_dict(before)
