"""Deep network interpolation: the weights between networks of equal shape.

Source: X. Wang et al., "Deep Network Interpolation for Continuous Imagery Effect Transition", 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..errors import UsageError, WeightsError
from .recover import shown

State = Mapping[str, Tensor]


def mix(first: State, second: State, weight: float) -> dict[str, Tensor]:
    """`weight` * first + (1 - `weight`) * second, tensor by tensor, float32; `weight` in [0, 1].

    Raises WeightsError when names or shapes differ.
    """
    return blend(first, [(second, 1 - weight)])


def blend(first: State, others: Sequence[tuple[State, float]]) -> dict[str, Tensor]:
    """Each of `others` times its weight, and `first` times what is left of 1, tensor by tensor, float32, added in this
    order beginning with `first`.

    Raises WeightsError when names or shapes differ.
    """
    rest = 1 - sum(weight for _, weight in others)
    for other, _ in others:
        _check_equal(first, other)
    mixed = {key: rest * value.float() for key, value in first.items()}
    for other, weight in others:
        mixed = {key: value + weight * other[key].float() for key, value in mixed.items()}
    return mixed


def _check_equal(first: State, second: State) -> None:
    """Raises WeightsError, which names the first differences."""
    faults = [f"{key} is only in the {'first' if key in first else 'second'}" for key in sorted(first.keys() ^ second)]
    faults += [
        f"{key} is {tuple(value.shape)} and {tuple(second[key].shape)}"
        for key, value in first.items()
        if key in second and value.shape != second[key].shape
    ]
    faults += [
        f"{key} is {value.dtype}, which cannot be mixed"
        for key, value in first.items()
        if not value.is_floating_point() and key in second and not value.equal(second[key])
    ]
    if faults:
        raise WeightsError(
            f"two networks can be mixed only when all their tensors have equal names and shapes; {len(faults)} "
            f"differ, first {shown(faults)}"
        )


def parts(texts: Sequence[str]) -> list[tuple[str, float]]:
    """`PATH:W` as a model and its weight. Raises UsageError unless weights are above 0 and at most 1 together."""
    found = [_part(text) for text in texts]
    total = sum(weight for _, weight in found)
    if total > 1 + 1e-9:
        raise UsageError(
            f"--blend: the weights are {total:g} together, allowed is at most 1",
            "the model given by --model has what is left of 1",
        )
    return found


def _part(text: str) -> tuple[str, float]:
    spec, _, number = text.rpartition(":")
    try:
        weight = float(number)
    except ValueError:
        weight = -1.0
    if not spec or not 0 < weight <= 1:
        raise UsageError(f"--blend: {text!r} is not allowed, expected PATH:W with W above 0 and at most 1")
    return spec, weight
