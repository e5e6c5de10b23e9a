"""Arrays through a network: their kinds, their alpha, films of them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.fakes import Faulty, Repeater, describe
from tests.runtime.simulated import Simulated
from vidsr import upscaler
from vidsr.errors import DeviceError, UsageError
from vidsr.events import Event, Notice
from vidsr.media.arrays import Kind
from vidsr.runtime.transfer import Uploader
from vidsr.upscaler import Upscaler

Array = NDArray[Any]
Make = Callable[..., Upscaler]
DTYPES = (np.uint8, np.uint16, np.float32)
SHAPES = [(11, 14), (11, 14, 1), (11, 14, 2), (11, 14, 3), (11, 14, 4)]


def noise(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Array:
    """Nowhere 0, so that an alpha hides nothing."""
    values = np.random.default_rng(seed).uniform(0.02, 1, shape)
    return (values if np.dtype(dtype).kind == "f" else np.ceil(values * np.iinfo(dtype).max)).astype(dtype)


def doubled(image: Array) -> Array:
    return image.repeat(2, 0).repeat(2, 1)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Upscalers with a network of the test's own, in float32."""

    def made(network: Repeater | None = None, **choices: Any) -> Upscaler:
        descriptor = describe(network or Repeater(2))
        monkeypatch.setattr(upscaler, "load_model", lambda *_, **__: descriptor)
        return Upscaler(**{"device": "cpu", "precision": "fp32", **choices})

    return made


def counting(calls: list[tuple[int, ...]]) -> Faulty:
    """A network that notes the shape of what it is given."""

    def note(_: Repeater, rgb: Tensor, out: Tensor) -> Tensor:
        calls.append(tuple(rgb.shape))
        return out

    return Faulty(note)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_comes_out_as_it_went_in(make: Make, shape: tuple[int, ...], dtype: Any) -> None:
    image = noise(shape, dtype)
    before = image.copy()
    result = make().enhance(image)
    assert result.dtype == image.dtype
    assert result.shape == (22, 28, *shape[2:])
    tolerance = 1e-6 if dtype == np.float32 else 0
    np.testing.assert_allclose(result, doubled(image), rtol=tolerance, atol=0)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_depth_is_that_of_the_dtype(make: Make, dtype: Any) -> None:
    """Dark pictures of 16 bit are not taken for pictures of 8 bit."""
    image = np.full((8, 8, 3), 200 if dtype != np.float32 else 200 / 65535, dtype)
    np.testing.assert_allclose(make().enhance(image), doubled(image), rtol=1e-6)


def test_other_byte_orders_and_strides_are_taken(make: Make) -> None:
    image = noise((11, 14, 3), np.uint16)
    expected = make().enhance(image)
    np.testing.assert_array_equal(make().enhance(image.astype(">u2")), expected)
    np.testing.assert_array_equal(make().enhance(image[::-1, ::-1])[::-1, ::-1], expected)
    assert make().enhance(image.astype(">u2")).dtype.isnative


@pytest.mark.parametrize(
    ("choices", "size"),
    [({"scale": 1}, (11, 14)), ({"scale": 3.5}, (38, 49)), ({"scale": 0.5}, (6, 7)), ({"size": (30, 9)}, (9, 30))],
)
def test_other_sizes_are_resampled_from_float(make: Make, choices: dict[str, Any], size: tuple[int, int]) -> None:
    image = noise((11, 14, 3), np.uint8)
    result = make(passes=1).enhance(image, **choices)
    assert result.shape == (*size, 3)
    exact = make(passes=1).enhance(image.astype(np.float32) / np.float32(255), **choices) * 255
    assert np.abs(result - exact).max() <= 0.501


def test_far_sizes_take_more_passes(make: Make) -> None:
    calls: list[tuple[int, ...]] = []
    assert make(counting(calls), passes=3).enhance(noise((8, 8), np.uint8)).shape == (64, 64)
    assert [shape[-1] for shape in calls] == [8, 16, 32]


def test_an_opaque_alpha_costs_nothing(make: Make) -> None:
    calls: list[tuple[int, ...]] = []
    image = noise((11, 14, 4), np.uint8)
    image[..., 3] = 255
    result = make(counting(calls)).enhance(image, 3)
    assert len(calls) == 1
    assert (result[..., 3] == 255).all()


@pytest.mark.parametrize("way", ["model", "lanczos", "drop"])
def test_ways_of_alpha(make: Make, way: Any) -> None:
    calls: list[tuple[int, ...]] = []
    image = noise((11, 14, 4), np.uint8)
    result = make(counting(calls)).enhance(image, alpha=way)
    assert len(calls) == {"model": 2, "lanczos": 1, "drop": 1}[way]
    assert result.shape == (22, 28, 3 if way == "drop" else 4)
    np.testing.assert_array_equal(result[..., :3], doubled(image[..., :3]))
    if way == "lanczos":
        assert np.abs(result[..., 3].astype(int) - doubled(image[..., 3])).mean() < 40


@pytest.mark.parametrize("way", ["model", "lanczos"])
def test_no_dark_fringe_around_what_is_visible(way: Any) -> None:
    """A white disc on black that is transparent: with a real network every visible pixel of it stays white."""
    rows, columns = np.mgrid[:40, :40]
    image = np.zeros((40, 40, 4), np.uint8)
    image[np.hypot(rows - 19.5, columns - 19.5) < 12] = 255
    result = Upscaler("animevideov3", device="cpu", precision="fp32").enhance(image, alpha=way)
    visible = result[..., 3] > 16
    assert 0.2 < visible.mean() < 0.4
    assert result[..., :3][visible].min() > 245
    plain = Upscaler("animevideov3", device="cpu", precision="fp32").enhance(image[..., :3])
    assert plain[visible].min() < 100, "which is no wonder where black is not hidden"


def test_hidden_colours_do_not_matter(make: Make) -> None:
    image = noise((32, 33, 4), np.uint16)
    image[8:20, 5:30, 3] = 0
    other = image.copy()
    other[8:20, 5:30, :3] = noise((12, 25, 3), np.uint16, seed=9)
    np.testing.assert_array_equal(make().enhance(image), make().enhance(other))


def test_a_picture_that_is_hidden_everywhere(make: Make) -> None:
    image = noise((9, 9, 4), np.uint8)
    image[..., 3] = 0
    result = make().enhance(image)
    assert (result[..., 3] == 0).all()
    np.testing.assert_array_equal(result[..., :3], doubled(image[..., :3]))


def test_floats_out_of_range_are_clipped_and_told_once(make: Make) -> None:
    told: list[Event] = []
    image = np.array([[-1, 0.5], [1, 7]], np.float32)
    network = make(emit=told.append)
    np.testing.assert_allclose(network.enhance(image), doubled(image.clip(0, 1)), atol=1e-6)
    network.enhance(image)
    texts = [event.text for event in told if isinstance(event, Notice) and "clipped" in event.text]
    assert texts == ["float values outside of [0, 1] are clipped"]


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (np.zeros((4, 4), np.int32), "this is int32"),
        (np.zeros((4, 4), np.float64), "this is float64"),
        ([[1, 2]], "this is list"),
        (np.zeros((4, 4, 5), np.uint8), r"this has the shape \(4, 4, 5\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "this has the shape"),
        (np.zeros((0, 4), np.uint8), "this has the shape"),
        (np.full((4, 4), np.nan, np.float32), "NaN or infinite"),
    ],
)
def test_what_is_no_picture_is_refused(make: Make, image: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        make().enhance(image)


@pytest.mark.parametrize(
    "choices", [{"scale": 0}, {"scale": 99}, {"scale": 2, "size": (4, 4)}, {"size": (0, 4)}, {"alpha": "cubic"}]
)
def test_sizes_and_words_that_are_not_allowed_are_refused(make: Make, choices: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make().enhance(noise((4, 4, 4), np.uint8), **choices)


def test_what_cannot_fit_is_refused_before_it_is_tried(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    network = make(counting(calls))
    monkeypatch.setattr(upscaler, "free_bytes", lambda _: 1000)
    with pytest.raises(DeviceError, match="64x64 by repeater to 128x128 needs"):
        network.enhance(noise((64, 64), np.uint8))
    assert not calls


@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (4, np.uint8), (1, np.uint16), (3, np.float32)])
def test_a_film_equals_its_pictures(channels: int, dtype: Any) -> None:
    """By a real network, with frames that repeat, change in a corner, or are new; bit for bit."""
    network = Upscaler("animevideov3", device="cpu")
    frames = [noise((24, 32, channels), dtype, seed) for seed in (0, 0, 0, 1)]
    frames[2][3:6, 4:9] = frames[3][3:6, 4:9]
    results = list(network.upscale_frames(frames, 2))
    assert len(results) == 4
    for frame, result in zip(frames, results, strict=True):
        np.testing.assert_array_equal(result, network.enhance(frame, 2))


def test_pts_pass_through_in_order(make: Make) -> None:
    frames = [noise((8, 8, 3), np.uint8, seed) for seed in range(9)]
    pairs = [(f"at {number}", frame) for number, frame in enumerate(frames)]
    results = list(make(batch=4).upscale_frames(pairs))
    assert [pts for pts, _ in results] == [pts for pts, _ in pairs]
    for frame, (_, result) in zip(frames, results, strict=True):
        np.testing.assert_array_equal(result, doubled(frame))


def test_held_frames_are_not_computed_again(make: Make) -> None:
    calls: list[tuple[int, ...]] = []
    frame, other = noise((8, 8, 4), np.uint8), noise((8, 8, 4), np.uint8, 1)
    results = list(make(counting(calls)).upscale_frames([frame, frame.copy(), frame.copy(), other]))
    assert len(calls) == 4, "colour and alpha of two"
    np.testing.assert_array_equal(results[2], doubled(frame))
    results[1][:] = 0
    np.testing.assert_array_equal(results[0], doubled(frame), "results share no memory")
    calls.clear()
    list(make(counting(calls)).upscale_frames([frame[..., :3]] * 3, reuse="off"))
    assert len(calls) == 3


def test_frames_may_be_written_again_by_their_owner(make: Make) -> None:
    buffer = np.empty((8, 8), np.uint8)

    def frames() -> Iterator[Array]:
        for value in (10, 20, 30, 30):
            buffer[:] = value
            yield buffer

    assert [int(result[0, 0]) for result in make(batch=2).upscale_frames(frames())] == [10, 20, 30, 30]


def test_frames_are_taken_as_results_are_asked_for(make: Make) -> None:
    taken: list[int] = []

    def frames() -> Iterator[Array]:
        for number in range(1000):
            taken.append(number)
            yield noise((8, 8, 4), np.uint8, number)

    results = make(batch=2).upscale_frames(frames())
    for _ in range(5):
        next(results)
    assert 5 <= len(taken) <= 12


def test_no_frames_are_no_results(make: Make) -> None:
    assert list(make().upscale_frames([])) == []


def test_frames_of_another_kind_are_refused(make: Make) -> None:
    results = make().upscale_frames([noise((8, 8), np.uint8), noise((8, 9), np.uint8)])
    next(results)
    with pytest.raises(UsageError, match=r"a frame is \(8, 9\) of uint8, the first was 8x8x1 of uint8"):
        next(results)


def test_steadied_films_are_of_whole_codes(make: Make) -> None:
    frames = [np.full((16, 16), value, np.uint8) for value in (100, 101, 103, 104)]
    shown = [int(result[0, 0]) for result in make().upscale_frames(frames, reuse="near:2")]
    assert shown == [100, 100, 103, 103]
    with pytest.raises(UsageError, match="counts codes of 8 bits"):
        next(make().upscale_frames([frames[0].astype(np.float32) / 255], reuse="near:2"))


def test_float32_takes_over_where_a_way_gives_nan(make: Make) -> None:
    calls: list[int] = []

    def poisoned(_: Repeater, rgb: Tensor, out: Tensor) -> Tensor:
        calls.append(len(calls))
        return out * torch.nan if len(calls) == 1 else out

    image = noise((8, 8, 3), np.uint8)
    network = make(Faulty(poisoned), precision="bf16")
    assert network.runner.precision == "bf16"
    np.testing.assert_array_equal(network.enhance(image), doubled(image))
    assert network.runner.precision == "fp32"
    np.testing.assert_array_equal(network.enhance(image[:4]), doubled(image[:4]))


def test_tiles_of_a_real_network_do_not_show() -> None:
    image = noise((40, 100, 3), np.uint8)
    whole = Upscaler("animevideov3", device="cpu", precision="fp32", tile=0).enhance(image)
    tiled = Upscaler("animevideov3", device="cpu", precision="fp32", tile=32).enhance(image)
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_the_scale_is_the_networks_own(make: Make) -> None:
    assert make(Repeater(3)).scale == 3
    assert make(Repeater(3)).sizes(10, 20).final == (30, 60)


def test_kinds_know_themselves() -> None:
    kind = Kind.of(np.zeros((4, 5, 2), np.uint16))
    assert (kind.height, kind.width, kind.has_alpha, kind.is_gray, kind.is_float) == (4, 5, True, True, False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_planes_of_every_dtype_reach_a_device(dtype: Any) -> None:
    device, plane = Simulated(), noise((11, 14), dtype)
    uploader = Uploader(torch.device("cpu"), device)
    [(_, tensors)] = uploader.uploaded([(0, (plane,))])
    device.drain()
    assert tensors is not None
    np.testing.assert_array_equal(tensors[0][0].numpy(), plane)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_gpu_gives_what_a_cpu_gives(channels: int, dtype: Any) -> None:
    frames = [noise((24, 32, channels), dtype, seed) for seed in (0, 0, 1)]
    fast = Upscaler("animevideov3", device="cuda")
    results = list(fast.upscale_frames(frames, 2))
    exact = Upscaler("animevideov3", device="cpu", precision="fp32")
    for frame, result in zip(frames, results, strict=True):
        np.testing.assert_array_equal(result, fast.enhance(frame, 2))
        peak = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
        assert np.abs(result / peak - exact.enhance(frame, 2) / peak).max() < 0.02
