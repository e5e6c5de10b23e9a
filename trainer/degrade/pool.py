"""The pair pool of the reference: a batch is mixed with pairs of earlier batches, so that what is drawn once per batch
still varies within one. With `draws="sample"` it is of less use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vidsr.errors import UsageError

from ..sample import Key


class PairPool:
    """Holds up to `size` pairs of low-resolution pictures and ground truth on the device of the first batch, in 8 bits.

    While it fills, batches pass through and are kept. Once full, each pair of a batch changes places with a random one
    of the pool. Any size goes with any batch.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lq: Tensor | None = None
        self._gt: Tensor | None = None
        self._names: list[str] = []

    def __len__(self) -> int:
        return len(self._names)

    def exchange(
        self, lq: Tensor, gt: Tensor, names: Sequence[str], key: Key
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """A batch in, a batch of the same shapes out: (lq, gt, names). Values are multiples of 1/255 in [0, 1].

        `lq` is N ... h w and `gt` N ... H W float32; `key` draws the places, so that no state but `state_dict` is
        kept. Raises UsageError where shapes are not those of the pool.
        """
        kept_lq, kept_gt = self._room(lq, self._lq), self._room(gt, self._gt)
        self._lq, self._gt = kept_lq, kept_gt
        before = len(self)
        fresh = min(self._size - before, len(names))
        places = key.rng("pool").permutation(before)[: len(names) - fresh].tolist()
        swapped = list(range(fresh, fresh + len(places)))
        mixed_lq, mixed_gt, mixed_names = lq.clone(), gt.clone(), list(names)
        mixed_lq[swapped], mixed_gt[swapped] = kept_lq[places] / 255, kept_gt[places] / 255
        for number, place in zip(swapped, places, strict=True):
            mixed_names[number], self._names[place] = self._names[place], names[number]
        self._names += names[:fresh]
        targets = [*range(before, before + fresh), *places]
        kept_lq[targets], kept_gt[targets] = _codes(lq[: len(targets)]), _codes(gt[: len(targets)])
        return mixed_lq, mixed_gt, tuple(mixed_names)

    def _room(self, batch: Tensor, kept: Tensor | None) -> Tensor:
        if kept is None:
            return torch.zeros(self._size, *batch.shape[1:], dtype=torch.uint8, device=batch.device)
        if kept.shape[1:] != batch.shape[1:]:
            raise UsageError(
                f"the pair pool holds pictures of {tuple(kept.shape[1:])}, and a batch has {tuple(batch.shape[1:])}",
                "sizes must not change within a run; start it anew without the pool",
            )
        return kept.to(batch.device)

    def state_dict(self) -> dict[str, Any]:
        """`lq` and `gt` (uint8 tensors of the pairs held, on the CPU; absent while empty) and `names`."""
        if self._lq is None or self._gt is None:
            return {"names": []}
        held = len(self)
        return {"lq": self._lq[:held].cpu(), "gt": self._gt[:held].cpu(), "names": list(self._names)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises UsageError where it holds more pairs than this pool may."""
        names = list(state["names"])
        if len(names) > self._size:
            raise UsageError(
                f"pair_pool {self._size} is smaller than the {len(names)} pairs of the checkpoint",
                f"resume with pair_pool of {len(names)} or more",
            )
        self._names = names
        self._lq, self._gt = (self._grown(state[side]) if names else None for side in ("lq", "gt"))

    def _grown(self, pairs: Tensor) -> Tensor:
        room = torch.zeros(self._size, *pairs.shape[1:], dtype=torch.uint8)
        room[: len(pairs)] = pairs
        return room


def _codes(pixels: Tensor) -> Tensor:
    return (pixels * 255).round().to(torch.uint8)
