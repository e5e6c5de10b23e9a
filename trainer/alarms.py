"""What a run is told while it goes on: a discriminator that only guesses or is always right, codecs that fail."""

from __future__ import annotations

import math
from collections import Counter

from .degrade.codec_tally import failures, not_coded

LONG = 1000
"""Iterations in a row that are worth a word."""
NEAR = 0.02
"""Part of the loss of a guess within which a loss counts as that of a guess, or as nothing."""
MEMORY = 0.98
"""Of the running mean: single batches say little."""


class Balance:
    """Whether a discriminator learns. Both ends are stalemates: at one it has nothing to teach, at the other what it
    teaches is noise (M. Arjovsky and L. Bottou, "Towards Principled Methods for Training GANs", 2017)."""

    def __init__(self, guess: float) -> None:
        """`guess` is the loss of one that cannot tell: twice ln 2 for cross entropy over both kinds of pictures."""
        self._guess, self._mean = guess, math.nan
        self._state, self._since = "", 0

    def seen(self, loss: float) -> str | None:
        """Take in the discriminator's loss in an iteration; a sentence when it has stood still for LONG of them."""
        if not math.isfinite(loss):
            return None
        self._mean = loss if math.isnan(self._mean) else MEMORY * self._mean + (1 - MEMORY) * loss
        state = self._stalemate()
        self._since = self._since + 1 if state == self._state else 1
        self._state = state
        return f"{state}, for {LONG} iterations: d is {self._mean:.3g}" if state and self._since == LONG else None

    def _stalemate(self) -> str:
        if abs(self._mean - self._guess) < NEAR * self._guess:
            return "the discriminator only guesses and teaches nothing; a higher gan.lr or more features may help"
        if self._mean < NEAR * self._guess:
            return "the discriminator is always right and teaches little; a lower gan.lr or other degradations may help"
        return ""


def codecs(counted: Counter[str]) -> str | None:
    """A sentence on codecs that failed, None where none did."""
    failed = failures(counted)
    if not failed and not not_coded(counted):
        return None
    names = ", ".join(f"{name} {count}" for name, count in sorted(failed.items()))
    text = f"encoders failed {sum(failed.values())} times ({names})" if failed else "no encoder is there"
    return f"{text}; clips left as they were: {not_coded(counted)}"
