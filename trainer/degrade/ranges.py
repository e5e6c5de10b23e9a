"""Types of options that are drawn from: ranges and weighted choices. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

N = TypeVar("N", int, float)
M = TypeVar("M", bound=Mapping[Any, float])


def _rising(value: tuple[N, N]) -> tuple[N, N]:
    if value[0] > value[1]:
        raise ValueError(f"should be (lowest, highest), and {value[0]:g} is above {value[1]:g}")
    return value


def _drawable(value: M) -> M:
    if not value or min(value.values()) < 0 or sum(value.values()) <= 0:
        raise ValueError("should hold weights that are not negative, and at least one above 0")
    return value


def within(low: float, high: float) -> AfterValidator:
    """A check that both ends of a range lie in [low, high]."""

    def check(value: tuple[N, N]) -> tuple[N, N]:
        if value[0] < low or value[1] > high:
            raise ValueError(f"should lie between {low:g} and {high:g}")
        return value

    return AfterValidator(check)


def weights(of: Callable[[], dict[Any, float]]) -> Any:
    """A field whose default is a dictionary of weights."""
    return Field(default_factory=of)


Probability = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[float, float], AfterValidator(_rising)]
"""(lowest, highest), drawn uniformly unless a field says otherwise."""
Whole = Annotated[tuple[int, int], AfterValidator(_rising)]
"""(lowest, highest) whole number, both included."""
Weighted = AfterValidator(_drawable)
"""Marks a dictionary from choices to weights, which need not sum to 1."""
