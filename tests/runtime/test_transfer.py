"""Planes arrive whole and in order, whatever a device does first; no buffer is written while it is read."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from vidsr.flow import Cancelled
from vidsr.runtime.lanes import computing, lanes_for
from vidsr.runtime.surfaces import planes_from_device, surface
from vidsr.runtime.transfer import Downloader, Ring, Uploader, delayed

from .simulated import Simulated

CPU = torch.device("cpu")
Planes = tuple[NDArray[Any], ...]

sizes = st.sampled_from([(2, 2), (4, 6), (16, 32), (30, 34)])
kinds = st.tuples(sizes, st.sampled_from([np.uint8, np.uint16]))
frames = st.lists(st.one_of(st.none(), kinds), max_size=12).filter(lambda some: not some or some[0] is not None)
"""None is a held frame, which the first one is not."""


def make_planes(number: int, size: tuple[int, int], dtype: type) -> Planes:
    """4:2:0 planes of random samples, different for each number."""
    rng = np.random.default_rng(number)
    height, width = size
    shapes = (size, (height // 2, width // 2), (height // 2, width // 2))
    return tuple(rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True) for shape in shapes)


def source(some: list[Any]) -> list[tuple[int, Planes | None]]:
    return [(n, None if kind is None else make_planes(n, *kind)) for n, kind in enumerate(some)]


def inverted(tensor: Tensor) -> Tensor:
    return tensor.view(torch.uint8).bitwise_not().view(tensor.dtype)


def upscaled(device: Simulated, items: Iterator[tuple[int, tuple[Tensor, ...] | None]]) -> Iterator[Any]:
    """What a network would do: new planes from the given ones, on the compute lane; none for held frames."""
    for number, tensors in items:
        shown = None
        if tensors is not None:
            shown = tuple(torch.zeros_like(tensor[0]) for tensor in tensors)
            for out, tensor in zip(shown, tensors, strict=True):
                device.run("compute", lambda out=out, tensor=tensor: out.copy_(inverted(tensor[0])))
        yield number, shown


def expected(items: list[tuple[int, Planes | None]]) -> list[Planes]:
    shown: Planes = ()
    out = []
    for _, planes in items:
        shown = shown if planes is None else tuple(~plane for plane in planes)
        out.append(shown)
    return out


@settings(max_examples=150, deadline=None)
@given(frames, st.integers(0, 2**32), st.integers(0, 6), st.integers(1, 4), st.integers(0, 5), st.integers(64, 8192))
def test_both_ways_on_a_device_that_lags(
    some: list[Any], seed: int, eager: int, slots: int, depth: int, limit: int
) -> None:
    device = Simulated(seed, eager)
    items = source(some)
    uploader = Uploader(CPU, device, slots, limit)
    downloader = Downloader(CPU, depth, device)
    got = list(downloader.downloaded(upscaled(device, uploader.uploaded(iter(items)))))  # all kept, as an encoder may
    assert [number for number, _ in got] == [number for number, _ in items]
    for (_, planes), wanted in zip(got, expected(items), strict=True):
        assert all(map(np.array_equal, planes, wanted))
        assert [plane.dtype for plane in planes] == [plane.dtype for plane in wanted]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=30), st.integers(1, 4), st.integers(1, 1000), st.integers(0, 2**32))
def test_the_ring_is_bounded_and_never_gives_a_buffer_that_is_read(
    requests: list[int], depth: int, limit: int, seed: int
) -> None:
    device = Simulated(seed, eager=2)
    ring = Ring(device.pinned, depth, limit)
    sent = []
    for number, nbytes in enumerate(requests):
        slot = ring.take(nbytes)
        assert slot.buffer is not None
        assert slot.buffer.numel() >= nbytes
        assert ring.nbytes <= max(limit, max(requests[: number + 1]))
        slot.buffer[:nbytes] = number
        copy, slot.reader = device.upload(slot.buffer[:nbytes])
        sent.append(copy)
    device.drain()
    for number, copy in enumerate(sent):
        assert bool((copy == number).all())


def test_the_ring_takes_no_more_buffers_than_it_may() -> None:
    device = Simulated()
    ring = Ring(device.pinned, 3, 1 << 20)
    given_out = []
    for _ in range(7):
        slot = ring.take(100)
        assert slot.buffer is not None
        given_out.append(slot.buffer.data_ptr())
        _, slot.reader = device.upload(slot.buffer)
    assert given_out[:3] == given_out[3:6]
    assert given_out[6] == given_out[0]
    assert ring.nbytes == 300
    assert device.waits == 4


def test_a_ring_at_its_limit_uses_its_buffers_again() -> None:
    device = Simulated()
    made = []

    def allocate(nbytes: int) -> Tensor:
        made.append(nbytes)
        return device.pinned(nbytes)

    ring = Ring(allocate, 4, 250)
    for _ in range(9):
        slot = ring.take(100)
        assert slot.buffer is not None
        _, slot.reader = device.upload(slot.buffer)
    assert made == [100, 100]


def test_the_host_waits_only_for_frames_it_gives_out() -> None:
    """Nothing waits before the delay line is full, and the next upload is begun before a frame is given out."""
    device = Simulated()
    uploads = []
    items = ((n, make_planes(n, (4, 4), np.uint8)) for n in range(4))

    def watched() -> Iterator[Any]:
        for item in items:
            uploads.append(item[0])
            yield item

    line = Downloader(CPU, 2, device).downloaded(upscaled(device, Uploader(CPU, device).uploaded(watched())))
    assert next(line)[0] == 0
    assert uploads == [0, 1, 2, 3]  # 0 is out, 1 and 2 are behind the network, 3 is on its way to it
    assert device.waits == 1


def test_planes_that_were_patched_in_place_are_copied_again() -> None:
    """Only None says that nothing changed: the same tensors may hold another picture."""
    planes = (torch.zeros(2, 2, dtype=torch.uint8),)

    def patching() -> Iterator[Any]:
        for n in range(3):
            planes[0].fill_(n)
            yield n, tuple(plane.clone() for plane in planes)

    for device in (Simulated(), None):
        got = [int(plane[0, 0]) for _, (plane,) in Downloader(CPU, 2, device).downloaded(patching())]
        assert got == [0, 1, 2]


def test_held_frames_are_copied_once() -> None:
    device = Simulated()
    items: list[tuple[int, Planes | None]] = [(0, make_planes(0, (4, 4), np.uint8)), *((n, None) for n in range(1, 40))]
    line = Downloader(CPU, 2, device).downloaded(upscaled(device, Uploader(CPU, device).uploaded(iter(items))))
    got = [planes for _, planes in line]
    assert len(got) == 40
    assert all(planes is got[0] for planes in got)
    assert device.pinned_most == 256 * 3 + 16 + 4 + 4  # one upload, one download


def test_memory_does_not_grow_with_the_clip() -> None:
    most = []
    for count in (20, 60):
        device = Simulated(eager=1)
        items = ((n, make_planes(n, (16, 32), np.uint8)) for n in range(count))
        for _ in Downloader(CPU, 2, device).downloaded(upscaled(device, Uploader(CPU, device).uploaded(items))):
            pass
        most.append(device.pinned_most)
    assert most[0] == most[1]
    assert most[0] <= 4 * 3 * 512 + 4 * 768  # the ring, and depth + 1 frames and the one that the consumer holds


@pytest.mark.parametrize("error", [RuntimeError("the decoder fell over"), Cancelled()])
def test_an_error_upstream_leaves_nothing_running(error: BaseException) -> None:
    device = Simulated()

    def failing() -> Iterator[Any]:
        for n in range(3):
            yield n, make_planes(n, (4, 4), np.uint8)
        raise error

    got = []
    line = Downloader(CPU, 1, device).downloaded(upscaled(device, Uploader(CPU, device).uploaded(failing())))
    with pytest.raises(type(error)):
        got.extend(number for number, _ in line)
    assert got == [0]
    assert device.pending == 0


def test_a_consumer_that_stops_leaves_nothing_running() -> None:
    device = Simulated()
    items = ((n, make_planes(n, (4, 4), np.uint8)) for n in range(9))
    line = Downloader(CPU, 3, device).downloaded(upscaled(device, Uploader(CPU, device).uploaded(items)))
    assert next(line)[0] == 0
    line.close()  # type: ignore[attr-defined]  # a generator
    assert device.drained
    assert device.pending == 0


def test_a_device_that_fails_while_stopping_does_not_hide_the_first_cause() -> None:
    def broken() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def failing() -> Iterator[int]:
        yield 0
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        list(delayed(failing(), 1, lambda item: item, lambda item: item, broken))


def test_on_a_cpu_nothing_is_copied_or_delayed() -> None:
    asked = []

    def watched() -> Iterator[Any]:
        for n in range(3):
            asked.append(n)
            yield n, make_planes(n, (4, 4), np.uint16) if n != 1 else None

    for number, tensors in Uploader(CPU).uploaded(watched()):
        assert asked[-1] == number
        assert (tensors is None) == (number == 1)
    planes = make_planes(0, (4, 4), np.uint16)
    planes[0].flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [(_, tensors)] = Uploader(CPU).uploaded([(0, planes)])
    assert tensors is not None
    assert [tensor.data_ptr() for tensor in tensors] == [plane.ctypes.data for plane in planes]
    assert [tuple(tensor.shape) for tensor in tensors] == [(1, 4, 4), (1, 2, 2), (1, 2, 2)]
    [(_, back)] = Downloader(CPU).downloaded([(0, tuple(tensor[0] for tensor in tensors))])
    assert [plane.ctypes.data for plane in back] == [plane.ctypes.data for plane in planes]
    assert list(computing(iter([1, 2]), CPU)) == [1, 2]
    assert lanes_for(CPU) is None


class Borrowed:
    """A picture of a decoder: NV12 or P010 of PyAV, in host memory."""

    def __init__(self, number: int, depth: int, width: int = 34, height: int = 6) -> None:
        self.depth = depth
        self.frame = av.VideoFrame(width, height, "nv12" if depth == 8 else "p010le")
        self.planes = make_planes(number, (height, width), np.uint8)
        if depth > 8:
            self.planes = tuple(p.astype(np.uint16) << (depth - 8) | 3 for p in self.planes)
        kind, shift = (np.dtype(np.uint8), 0) if depth == 8 else (np.dtype(np.uint16), 16 - depth)
        lines = [np.frombuffer(p, kind).reshape(-1, p.line_size // kind.itemsize) for p in self.frame.planes]
        for line in lines:
            line.setflags(write=True) if not line.flags.writeable else None
        lines[0][:height, :width] = self.planes[0] << shift
        lines[1][: height // 2, 0:width:2] = self.planes[1] << shift
        lines[1][: height // 2, 1:width:2] = self.planes[2] << shift

    def capsules(self) -> tuple[Any, Any]:
        luma, chroma = self.frame.planes
        return luma.__dlpack__(), chroma.__dlpack__()


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_planes_of_a_decoder_are_taken_apart_and_put_together(depth: int) -> None:
    picture = Borrowed(1, depth)
    assert picture.frame.planes[0].line_size > 34 * (1 + (depth > 8))  # there is padding to step over
    planes = planes_from_device(picture)
    for plane, wanted in zip(planes, picture.planes, strict=True):
        assert plane.is_contiguous()
        assert np.array_equal(plane[0].numpy(), wanted)
    luma, chroma = surface(tuple(plane[0] for plane in planes), depth)
    assert luma.stride() == (256, 1)
    assert chroma.stride() == (256, 2, 1)
    assert chroma.data_ptr() == luma.data_ptr() + 6 * 256 * luma.element_size()  # NVENC looks for it there
    again = av.VideoFrame.from_dlpack((luma, chroma), format=picture.frame.format.name)
    kind = np.uint8 if depth == 8 else np.uint16
    for one, other in zip(again.planes, picture.frame.planes, strict=True):
        rows = [np.frombuffer(p, kind).reshape(p.height, -1)[:, :34] for p in (one, other)]
        assert np.array_equal(*rows)


def test_all_sixteen_bits_of_p010_survive() -> None:
    codes = torch.arange(1024, dtype=torch.int16).view(torch.uint16)
    luma = codes.view(32, 32)
    chroma = luma[:16, :16].contiguous()
    packed = surface((luma, chroma, chroma), 10)
    assert np.array_equal(packed[0].numpy(), np.arange(1024, dtype=np.uint16).reshape(32, 32) << 6)


@pytest.mark.parametrize("shape", [(3, 4), (4, 3)])
def test_surfaces_of_odd_size_are_refused(shape: tuple[int, int]) -> None:
    plane = torch.zeros(shape, dtype=torch.uint8)
    small = plane[: shape[0] // 2, : shape[1] // 2]
    with pytest.raises(ValueError, match="even"):
        surface((plane, small, small), 8)


def test_surfaces_of_other_chroma_are_refused() -> None:
    plane = torch.zeros(4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"4:2:0, not \[\(4, 4\), \(4, 4\)"):
        surface((plane, plane, plane), 8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 12), st.integers(0, 2**32), st.integers(0, 6), st.integers(0, 3))
def test_pictures_of_a_decoder_are_kept_until_they_are_copied(count: int, seed: int, eager: int, depth: int) -> None:
    device = Simulated(seed, eager)
    wanted = [Borrowed(n, 8).planes for n in range(count)]
    pictures = ((n, Borrowed(n, 8)) for n in range(count))
    uploader = Uploader(CPU, device, slots=2)
    got = list(Downloader(CPU, depth, device).downloaded(upscaled(device, uploader.uploaded(pictures))))
    assert len(got) == count
    for (_, planes), original in zip(got, wanted, strict=True):
        assert all(np.array_equal(plane, ~whole) for plane, whole in zip(planes, original, strict=True))


def test_the_last_pictures_are_kept_until_they_are_copied_too() -> None:
    device = Simulated()
    pictures = ((n, Borrowed(n, 8)) for n in range(3))
    got = list(Uploader(CPU, device).uploaded(pictures))  # the uploader is gone now
    device.drain()
    for number, tensors in got:
        assert tensors is not None
        assert all(np.array_equal(t[0].numpy(), p) for t, p in zip(tensors, Borrowed(number, 8).planes, strict=True))


def test_no_more_pictures_are_kept_than_slots() -> None:
    device = Simulated()
    alive: weakref.WeakSet[Borrowed] = weakref.WeakSet()
    most = []

    def decoded() -> Iterator[Any]:
        for n in range(12):
            most.append(len(alive))
            picture = Borrowed(n, 8)
            alive.add(picture)
            yield n, picture
            del picture

    for _ in Uploader(CPU, device, slots=3).uploaded(decoded()):
        pass
    assert max(most) == 3
    assert not alive


def test_surfaces_for_an_encoder_come_finished_and_late() -> None:
    device = Simulated()
    planes = tuple(torch.from_numpy(plane) for plane in make_planes(5, (4, 6), np.uint8))
    got = list(Downloader(CPU, 2, device).surfaces(((n, None if n else planes) for n in range(5)), 8))
    assert [number for number, _ in got] == [0, 1, 2, 3, 4]
    assert all(tensors is got[0][1] for _, tensors in got)  # one surface
    assert [tuple(tensor.shape) for tensor in got[0][1]] == [(4, 6), (2, 3, 2)]
    [(_, plain)] = Downloader(CPU).surfaces([(0, planes)], 8)
    assert all(map(torch.equal, plain, got[0][1]))


def on_gpu(work: Callable[[Iterator[Any]], Iterator[Any]], items: list[tuple[int, Planes]]) -> list[Any]:
    device = torch.device("cuda:0")
    line = work(Uploader(device).uploaded(iter(items)))
    return list(computing(Downloader(device, 2).downloaded(line), device))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_both_ways_on_a_gpu(dtype: type) -> None:
    """Long work between the copies, so that a missing event shows as wrong planes."""
    items = [(n, make_planes(n, (540, 960) if n % 50 else (270, 480), dtype)) for n in range(200)]

    def slowly(uploaded: Iterator[Any]) -> Iterator[Any]:
        for number, tensors in uploaded:
            torch.cuda._sleep(2_000_000)  # type: ignore[no-untyped-call]
            yield number, tuple(inverted(tensor[0]) for tensor in tensors)

    got = on_gpu(slowly, items)
    assert [number for number, _ in got] == list(range(200))
    for (_, planes), (_, original) in zip(got, items, strict=True):
        assert all(np.array_equal(plane, ~whole) for plane, whole in zip(planes, original, strict=True))


@pytest.mark.gpu
def test_the_host_does_not_wait_on_a_gpu() -> None:
    """The device is kept busy for a second; giving it all the frames that fit in the lines must not wait for it."""
    device = torch.device("cuda:0")
    items = ((n, make_planes(n, (540, 960), np.uint8)) for n in range(3))
    with torch.cuda.stream(torch.cuda.Stream(device)):
        torch.cuda.synchronize()
        uploads = Uploader(device).uploaded(items)
        busy = torch.cuda.Event()
        first = next(uploads)
        torch.cuda._sleep(2_000_000_000)  # type: ignore[no-untyped-call]
        busy.record()
        handed = Downloader(device, 2)
        line = handed.downloaded((number, tuple(t[0] for t in tensors)) for number, tensors in [first, *uploads])
        waiting = iter(line)
        assert not busy.query()
        assert next(waiting)[0] == 0
        assert busy.query()
