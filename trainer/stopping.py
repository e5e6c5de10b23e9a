"""A signal ends a run after the iteration it falls into, with the state saved; a second one ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vidsr.errors import StoppedError

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stop:
    """Whether a signal asked the run to stop."""

    def __init__(self) -> None:
        self.signum = 0
        """The signal's number, 0 when none came."""
        self._at_once = False

    def _take(self, signum: int, frame: FrameType | None) -> None:
        if self.signum:
            os._exit(128 + signum)
        self.signum = signum
        if self._at_once:
            raise self.error()

    def error(self) -> StoppedError:
        """What to raise once the state is saved."""
        signum = self.signum or signal.SIGTERM
        return StoppedError(f"stopped by {signal.Signals(signum).name}", signum, "vidsr train resume goes on")

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, where nothing changes that would have to be saved, a signal raises StoppedError."""
        if self.signum:
            raise self.error()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False


@contextmanager
def listening() -> Iterator[Stop]:
    """Inside, signals are noted in the Stop. Only the main thread may enter."""
    stop = Stop()
    before = {number: signal.signal(number, stop._take) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
