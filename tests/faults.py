"""Faults to inject: into files, into packets, into the decoder. Every random one is made from a seed."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import torch
from av.bitstream import BitStreamFilterContext
from av.packet import Packet


def cut(path: Path, share: float) -> Path:
    """A copy of `path` that ends after `share` of its bytes."""
    data = path.read_bytes()
    short = path.with_name(f"{path.stem}_cut{path.suffix}")
    short.write_bytes(data[: int(len(data) * share)])
    return short


def mutate(path: Path, seed: int) -> Path:
    """A copy with some bytes flipped, deleted or cut off, chosen by `seed`; the first 64 bytes stay."""
    rng = random.Random(seed)
    data = bytearray(path.read_bytes())
    kind = rng.choice(["flip", "flip", "delete", "zero", "cut"])
    for _ in range(rng.choice([1, 4, 16])):
        place = rng.randrange(64, len(data))
        span = rng.randrange(1, 64)
        if kind == "flip":
            data[place] ^= 1 << rng.randrange(8)
        elif kind == "delete":
            del data[place : place + span]
        elif kind == "zero":
            data[place : place + span] = bytes(len(data[place : place + span]))
    if kind == "cut":
        del data[rng.randrange(64, len(data)) :]
    damaged = path.with_name(f"{path.stem}_{seed}{path.suffix}")
    damaged.write_bytes(data)
    return damaged


def remux(source: Path, target: Path, noise: str) -> Path:
    """A copy whose video packets went through FFmpeg's noise filter, e.g. `amount=200` or `amount=0:drop=eq(n\\,5)`."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        video = old.streams.video[0]
        streams = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        filter_ = BitStreamFilterContext(f"noise={noise}", video)
        for packet in old.demux():
            if packet.size == 0:
                continue
            for out in filter_.filter(packet) if packet.stream_index == video.index else [packet]:
                out.stream = streams[packet.stream.index]
                new.mux(out)
    return target


class FailingDecoder:
    """A decoder that raises at chosen packets, and otherwise does what the real one does."""

    def __init__(self, context: Any, fail: Iterable[int] | range) -> None:
        self._context, self._fail, self._count = context, set(fail), -1

    def decode(self, packet: Packet | None) -> list[Any]:
        self._count += 1
        if packet is not None and self._count in self._fail:
            raise av.error.InvalidDataError(1094995529, "Invalid data found when processing input")
        return self._context.decode(packet)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def fail_at(items: Iterable[Any], place: int, error: BaseException) -> Iterator[Any]:
    """`items`, with `error` raised in place of item number `place`."""
    for number, item in enumerate(items):
        if number == place:
            raise error
        yield item


def stray_threads() -> list[str]:
    """Names of the threads of vidsr that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vidsr-")]


def left_behind(folder: Path) -> list[str]:
    """Names of the temporary and lock files in `folder`."""
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".part", ".lock"))


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: for tiny pictures its threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
