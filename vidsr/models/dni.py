"""Deep network interpolation: the weights between two networks of equal shape.

Source: X. Wang et al., "Deep Network Interpolation for Continuous Imagery Effect Transition", 2019.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..errors import WeightsError


def mix(first: Mapping[str, Tensor], second: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
    """`weight` * first + (1 - `weight`) * second, tensor by tensor, float32; `weight` in [0, 1].

    Raises WeightsError when names or shapes differ.
    """
    differing = sorted(first.keys() ^ second.keys())
    differing += [key for key in first if key in second and first[key].shape != second[key].shape]
    if differing:
        raise WeightsError(
            f"two networks can be mixed only when all their tensors have equal names and shapes; {len(differing)} "
            f"differ, first {', '.join(differing[:5])}"
        )
    return {key: weight * first[key].float() + (1 - weight) * second[key].float() for key in first}
