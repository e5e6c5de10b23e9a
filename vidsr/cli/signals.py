"""Ctrl-C and friends: the first asks the run to stop and clean up, the second ends the process at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..errors import StoppedError

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _stop(signum: int, frame: FrameType | None) -> None:
    for other in _SIGNALS:
        signal.signal(other, _force)
    raise StoppedError(f"stopped by {signal.Signals(signum).name}", signum)


def _force(signum: int, frame: FrameType | None) -> None:
    os._exit(128 + signum)


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, a signal raises StoppedError in the main thread; a second one does not wait for the clean-up.

    What a forced end leaves behind (a lock file nobody holds, a .part file) the next run on that output removes.
    """
    before = {number: signal.signal(number, _stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
