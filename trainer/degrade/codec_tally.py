"""How codecs and their failures are counted: `codec: NAME`, `codec: NAME failed`, and clips that none has coded."""

from __future__ import annotations

from collections import Counter

PREFIX, FAILED = "codec: ", " failed"
NOT_CODED = "codec: not coded"
"""Clips that were left as they were since every attempt failed."""


def coded(tally: Counter[str]) -> int:
    """Clips that went through a codec."""
    return (
        sum(count for key, count in tally.items() if key.startswith(PREFIX))
        - sum(failures(tally).values())
        - (not_coded(tally))
    )


def failures(tally: Counter[str]) -> dict[str, int]:
    """How often each codec failed; only those that did."""
    ends = {key: count for key, count in tally.items() if key.startswith(PREFIX) and key.endswith(FAILED)}
    return {key[len(PREFIX) : -len(FAILED)]: count for key, count in ends.items()}


def not_coded(tally: Counter[str]) -> int:
    """Clips that no codec has coded."""
    return tally[NOT_CODED]
