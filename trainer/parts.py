"""What a run consists of."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vidsr.events import Emit

from .adversary import Adversary
from .config import Config
from .distributed import World
from .feed import Feed
from .log import Log, Window
from .losses.base import Loss
from .state import State
from .stopping import Stop
from .validate import Validator


@dataclass
class Run:
    """A run that is going on; `run.py` puts it together."""

    config: Config
    folder: Path
    state: State
    feed: Feed
    losses: Mapping[str, Loss]
    adversary: Adversary | None
    validator: Validator | None
    """None on all processes but the first, and where nothing is measured."""
    world: World
    log: Log | None
    """None on all processes but the first."""
    stop: Stop
    emit: Emit
    window: Window = field(default_factory=Window)
    started: float = field(default_factory=time.monotonic)
    unchecked: bool = True
    """Whether the self check is due at the next batch."""
    saved: int = -1
    """The iteration of the newest checkpoint."""
    reason: str = ""
    """Why the run ends, as all processes know it."""
