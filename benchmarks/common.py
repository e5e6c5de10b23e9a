"""What the benchmarks share: rounds that alternate, statistics, results as JSON with the machine they were made on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
SETTLE = 0.25
"""Seconds of rest before each timing: the threads of an OpenMP library spin for 0.2 s after their last work."""


@dataclass(frozen=True)
class Contestant:
    """Something that does one frame. `seconds` does it once and gives the time that it took."""

    name: str
    seconds: Callable[[], float]
    flops: int
    """Twice the multiplications of one call."""


def clocked(work: Callable[[], object]) -> Callable[[], float]:
    """`work` as the `seconds` of a Contestant, by the clock on the wall."""

    def seconds() -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return seconds


def alternate(contestants: Iterable[Contestant], rounds: int, settle: float = SETTLE) -> dict[str, list[float]]:
    """Seconds of every contestant in every round. All of them are timed in each round, each time another one first.

    A first round warms up and is not counted.
    """
    chosen = list(contestants)
    taken: dict[str, list[float]] = {item.name: [] for item in chosen}
    for number in range(rounds + 1):
        first = number % len(chosen)
        for item in chosen[first:] + chosen[:first]:
            time.sleep(settle)
            seconds = item.seconds()
            if number:
                taken[item.name].append(seconds)
                tell(f"round {number}/{rounds}  {item.name:<40} {seconds:.4f} s")
    return taken


def spread(values: Iterable[float]) -> dict[str, float]:
    """Smallest, median and largest."""
    chosen = list(values)
    return {"min": min(chosen), "median": median(chosen), "max": max(chosen)}


def ratios(taken: Mapping[str, list[float]], slow: str, fast: str) -> dict[str, float]:
    """How many times longer `slow` took than `fast`, round by round."""
    return spread(a / b for a, b in zip(taken[slow], taken[fast], strict=True))


def machine() -> dict[str, Any]:
    """What the numbers were made on: processor, accelerator, versions and commit."""
    import torch

    from .acceptance import machine as host

    device = {}
    if torch.cuda.is_available():
        facts = torch.cuda.get_device_properties(0)
        device = {"gpu": facts.name, "gpu_memory_gib": round(facts.total_memory / 2**30, 1), "cuda": torch.version.cuda}
    return host() | device


def save(path: Path, results: Mapping[str, Any]) -> None:
    """Write `results` as JSON. Raises ValueError for infinite numbers, which JSON has not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def tell(text: str) -> None:
    """One line of talk."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
