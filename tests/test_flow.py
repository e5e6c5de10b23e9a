"""Threads: order, bounds, errors, cancelling, and that none is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from vidsr.flow import Cancel, Cancelled, Channel, Flow


class Sized:
    nbytes = 100

    def __init__(self, number: int) -> None:
        self.number = number


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vidsr")]


def test_a_boundary_keeps_order_and_ends() -> None:
    flow = Flow()
    assert flow.run(lambda: list(flow.boundary(range(1000), "numbers")), "main") == list(range(1000))
    assert ours() == []


def test_a_boundary_runs_ahead_by_no_more_than_its_bytes() -> None:
    made: list[int] = []

    def source() -> Iterator[Sized]:
        for number in range(50):
            made.append(number)
            yield Sized(number)

    flow = Flow(limit=500)

    def consume() -> int:
        worst = 0
        for item in flow.boundary(source(), "source"):
            worst = max(worst, made[-1] - item.number)
        return worst

    assert flow.run(consume, "sink") <= 7  # five wait, one is made, one was just taken


def test_a_boundary_runs_ahead_by_few_items_however_small() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    flow = Flow()

    def consume() -> int:
        return max(made[-1] - item for item in flow.boundary(source(), "source"))

    assert flow.run(consume, "sink") <= 66  # 64 wait, one is made, one was just taken


def test_one_item_larger_than_the_bound_still_passes() -> None:
    flow = Flow(limit=1)
    assert len(flow.run(lambda: list(flow.boundary((Sized(n) for n in range(5)), "big")), "sink")) == 5


@pytest.mark.parametrize("at", [0, 1, 30])
def test_an_error_upstream_is_the_cause_and_stops_everything(at: int) -> None:
    def source() -> Iterator[int]:
        yield from range(at)
        raise ValueError("first cause")

    flow = Flow()
    with pytest.raises(ValueError, match="first cause"):
        flow.run(lambda: list(flow.boundary(flow.boundary(source(), "a"), "b")), "main")
    assert ours() == []


def test_an_error_downstream_frees_a_blocked_producer() -> None:
    flow = Flow(limit=100)

    def consume() -> None:
        for _ in flow.boundary((Sized(n) for n in range(10**6)), "endless"):
            raise KeyError("sink")

    with pytest.raises(KeyError, match="sink"):
        flow.run(consume, "main")
    assert ours() == []


def test_the_first_cause_wins() -> None:
    cancel = Cancel()
    cancel.set(ValueError("first"))
    cancel.set(ValueError("second"))
    assert str(cancel.cause) == "first"
    with pytest.raises(Cancelled):
        cancel.check()


def test_a_cancel_from_outside_ends_a_run() -> None:
    flow = Flow()
    endless = flow.boundary(iter(int, 1), "endless")
    threading.Timer(0.1, lambda: flow.cancel.set(InterruptedError("asked"))).start()
    with pytest.raises(InterruptedError, match="asked"):
        flow.run(lambda: sum(endless), "main")
    assert ours() == []


def test_a_closed_channel_gives_what_it_held() -> None:
    channel: Channel[int] = Channel(100, Cancel())
    channel.put(1, 10)
    channel.put(2, 10)
    channel.close()
    assert list(channel) == [1, 2]
