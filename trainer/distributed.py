"""Several processes that train one network, started by torchrun: every one computes its own samples, and gradients
are averaged.

The averaging is done here and not by DistributedDataParallel: with two networks that take turns, several passes for
each step, and accumulation, its hooks must be switched on and off at every turn, while networks of 0.6 to 17 million
weights have little to gain from overlapping. One flat sum also carries what all processes must agree on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vidsr.errors import DeviceError

PATIENCE = timedelta(hours=6)
"""How long processes wait for each other: the first one validates while the others wait."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among those of a run."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """Its number on this machine, and so its GPU."""

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its mean over all processes, in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten().float() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def tell(self, value: Any) -> Any:
        """What the first process says, to all."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


def from_environment() -> World:
    """The place that torchrun gave this process; alone without it."""
    number = {name: int(os.environ.get(name, default)) for name, default in
              (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))}  # fmt: skip
    return World(number["RANK"], number["WORLD_SIZE"], number["LOCAL_RANK"])


@contextmanager
def joined(world: World, device: torch.device) -> Iterator[World]:
    """Inside, the processes can talk to each other: by NCCL on GPUs, else by gloo, or as the caller has arranged it.

    Raises DeviceError when they cannot meet.
    """
    if world.size == 1 or dist.is_initialized():
        yield world
        return
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise DeviceError(f"the {world.size} processes of torchrun cannot meet: {error}") from error
    try:
        yield world
    finally:
        dist.destroy_process_group()


def choose_device(name: str, world: World) -> torch.device:
    """The device of this process. Raises DeviceError when it is absent."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device("cuda", world.local) if name == "cuda" else torch.device(name)
    if device.type == "cuda":
        if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
            raise DeviceError(f"loop.device: {device} is absent, there are {torch.cuda.device_count()} CUDA devices")
        torch.cuda.set_device(device)
    return device
