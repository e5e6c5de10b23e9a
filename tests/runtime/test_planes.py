"""Planes to RGB and back, against a float64 reference, known values and libswscale."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsr.errors import InputError
from vidsr.frames import ColorTags, Orientation, PixelLayout, Plane
from vidsr.media.pixels import fill_frame, format_of, planes_of
from vidsr.runtime.planes import FromRGB, ToRGB, orient, resample

from .. import reference_color as reference

SUBSAMPLINGS = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0)}
LAYOUTS = {
    f"{name}-{depth}": PixelLayout("yuv", depth, *shifts)
    for (name, shifts), depth in product(SUBSAMPLINGS.items(), (8, 9, 10, 12))
}
LAYOUTS |= {f"{family}-{depth}": PixelLayout(family, depth) for family in ("gray", "rgb") for depth in (8, 9, 10, 12)}
COLORS = [
    ColorTags(matrix, full, siting=siting)
    for matrix, full, siting in product((1, 6, 9), (False, True), ("left", "topleft", "center"))
]
SIZES = [(24, 18), (23, 17)]


def random_planes(layout: PixelLayout, width: int, height: int, seed: int = 0) -> tuple[Plane, ...]:
    """Every code, legal or not."""
    rng = np.random.default_rng(seed)
    sizes = layout.plane_sizes(width, height)
    return tuple(rng.integers(0, layout.peak + 1, size).astype(layout.dtype) for size in sizes)


def to_rgb(planes: tuple[Plane, ...], layout: PixelLayout, color: ColorTags) -> torch.Tensor:
    return ToRGB(layout, color, device="cpu")(tuple(torch.from_numpy(plane)[None] for plane in planes))


def from_rgb(rgb: torch.Tensor, layout: PixelLayout, color: ColorTags, dither: bool = False) -> tuple[Plane, ...]:
    return tuple(plane[0].numpy() for plane in FromRGB(layout, color, device="cpu", dither=dither)(rgb))


def flat(value: float, width: int = 64, height: int = 64) -> torch.Tensor:
    return torch.full((1, 3, height, width), value)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_planes_to_rgb_are_as_the_standards_have_them(layout):
    for color, size in product(COLORS, SIZES):
        planes = random_planes(layout, *size)
        error = to_rgb(planes, layout, color)[0].numpy() - reference.to_rgb(planes, layout, color)
        assert np.abs(error).max() * layout.peak < 0.01, (color, size)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_rgb_to_planes_is_as_the_standards_have_it(layout):
    unequal = samples = 0
    for color, (width, height) in product(COLORS, SIZES):
        rgb = np.random.default_rng(1).random((3, height, width), np.float32)
        done = from_rgb(torch.from_numpy(rgb)[None], layout, color)
        wanted = reference.from_rgb(rgb.astype(np.float64), layout, color)
        assert [plane.shape for plane in done] == list(layout.plane_sizes(width, height))
        for plane, codes in zip(done, wanted, strict=True):
            assert plane.dtype == layout.dtype
            difference = np.abs(plane.astype(np.int64) - codes)
            assert difference.max() <= 1, (color, width)
            unequal += np.count_nonzero(difference)
            samples += codes.size
    assert unequal / samples < 0.002  # float32 beside a float64 tie


@pytest.mark.parametrize("depth", [14, 16])
@pytest.mark.parametrize("full", [False, True])
def test_the_upper_half_of_deep_codes(depth, full):
    layout, color = PixelLayout("yuv", depth), ColorTags(1, full)
    planes = random_planes(layout, 24, 18)
    rgb = to_rgb(planes, layout, color)
    assert np.abs(rgb[0].numpy() - reference.to_rgb(planes, layout, color)).max() * layout.peak < 0.1
    wanted = reference.from_rgb(rgb[0].numpy().astype(np.float64), layout, color)
    for plane, codes in zip(from_rgb(rgb, layout, color), wanted, strict=True):
        assert np.abs(plane.astype(np.int64) - codes).max() <= 1


@pytest.mark.parametrize(
    ("depth", "full", "black", "white", "gray"),
    [(8, False, 16, 235, 128), (8, True, 0, 255, 128), (10, False, 64, 940, 512), (12, True, 0, 4095, 2048)],
)
@pytest.mark.parametrize("matrix", [1, 4, 6, 7, 9])
def test_black_and_white(depth, full, black, white, gray, matrix):
    layout, color = PixelLayout("yuv", depth, 1, 1), ColorTags(matrix, full, siting="left")
    for code, value in ((black, 0.0), (white, 1.0)):
        planes = tuple(np.full(size, code, layout.dtype) for size in layout.plane_sizes(8, 6))
        planes = (planes[0], *(np.full_like(plane, gray) for plane in planes[1:]))
        assert np.abs(to_rgb(planes, layout, color).numpy() - value).max() < 1e-6
        for plane, expected in zip(from_rgb(flat(value, 8, 6), layout, color), planes, strict=True):
            assert np.array_equal(plane, expected)


@pytest.mark.parametrize(
    ("rgb", "codes"),
    [
        ((1, 0, 0), (63, 102, 240)), ((0, 1, 0), (173, 42, 26)), ((0, 0, 1), (32, 240, 118)),
        ((1, 1, 0), (219, 16, 138)), ((0, 1, 1), (188, 154, 16)), ((1, 0, 1), (78, 214, 230)),
    ],
)  # fmt: skip
def test_the_bars_of_bt709(rgb, codes):
    """100 % colour bars, 8-bit limited, as in SMPTE RP 219 and every waveform monitor."""
    planes = from_rgb(torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1), PixelLayout("yuv"), ColorTags(1, False))
    assert tuple(plane.item() for plane in planes) == codes


def test_limited_and_full_range_differ_by_the_known_amount():
    """Codes of limited range read as full are the washed-out picture people complain of: 16 → 16, 235 → 235."""
    layout = PixelLayout("gray")
    codes = np.array([[16, 126, 235]], np.uint8)
    limited = to_rgb((codes,), layout, ColorTags(1, False))[0, 0].numpy()
    full = to_rgb((codes,), layout, ColorTags(1, True))[0, 0].numpy()
    np.testing.assert_allclose(limited * 255, [[0, 110 * 255 / 219, 255]], atol=1e-4)
    np.testing.assert_allclose(full * 255, codes, atol=1e-4)


def test_gray_is_replicated_and_rgb_becomes_luma():
    rgb = to_rgb((np.arange(12, dtype=np.uint8).reshape(3, 4) * 20,), PixelLayout("gray"), ColorTags(1, True))
    assert torch.equal(rgb[:, 0], rgb[:, 1])
    assert torch.equal(rgb[:, 0], rgb[:, 2])
    green = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    for matrix, expected in ((0, 0.7152), (2, 0.7152), (6, 0.587), (9, 0.678)):
        (plane,) = from_rgb(green, PixelLayout("gray", 16), ColorTags(matrix, True))
        assert abs(plane.item() / 65535 - expected) < 1e-4


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_round_trip_of_colours_inside_the_gamut(depth, full, matrix):
    layout, color = PixelLayout("yuv", depth), ColorTags(matrix, full)
    planes = from_rgb(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 0.9 + 0.05, layout, color)
    for before, after in zip(planes, from_rgb(to_rgb(planes, layout, color), layout, color), strict=True):
        assert np.abs(before.astype(int) - after.astype(int)).max() <= 1


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_round_trip_of_rgb_is_exact(depth):
    layout, color = PixelLayout("rgb", depth), ColorTags(0, True)
    planes = random_planes(layout, 24, 18)
    for before, after in zip(planes, from_rgb(to_rgb(planes, layout, color), layout, color), strict=True):
        assert np.array_equal(before, after)


def _column_of(values: np.ndarray, axis: int) -> float:
    """Centre of mass of the change along `axis` (0 is down): where the edge lies, in samples."""
    change = np.diff(values, axis=axis).mean(axis=1 - axis)
    return float((change * (np.arange(change.size) + 0.5)).sum() / change.sum())


@pytest.mark.parametrize("axis", [0, 1], ids=["down", "across"])
@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("siting", ["left", "topleft", "center", "top"])
def test_an_edge_in_chroma_lands_where_its_siting_says(axis, factor, siting):
    """Between chroma samples 7 and 8, so at luma position 7.5 f when co-sited, (f - 1) / 2 further when midway."""
    shifts = (0, factor.bit_length() - 1) if axis == 0 else (factor.bit_length() - 1, 0)
    layout, color = PixelLayout("yuv", 8, *shifts), ColorTags(1, True, siting=siting)
    size = 16 * factor
    luma, blue, red = (np.full(shape, 128, np.uint8) for shape in layout.plane_sizes(size, size))
    (red if axis == 1 else red.T)[..., 8:] = 148
    rgb = to_rgb((luma, blue, red), layout, color)
    midway = siting == "center" or siting == ("left" if axis == 0 else "top")
    place = 7.5 * factor + (factor - 1) / 2 * midway
    assert _column_of(rgb[0, 0].numpy(), axis) == pytest.approx(place, abs=1e-3)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("siting", ["left", "center"])
def test_an_edge_in_rgb_lands_in_chroma_where_its_siting_says(factor, siting):
    """The way back: an edge at luma position 15.5 f - 0.5 lies at that place, in chroma samples."""
    layout, color = PixelLayout("yuv", 16, factor.bit_length() - 1, 0), ColorTags(1, True, siting=siting)
    rgb = flat(0.25, 32 * factor, 4)
    rgb[:, 0, :, 16 * factor :] = 0.75
    offset = (factor - 1) / 2 if siting == "center" else 0.0
    place = (16 * factor - 0.5 - offset) / factor
    red = from_rgb(rgb, layout, color)[2].astype(np.float64)
    assert _column_of(red, 1) == pytest.approx(place, abs=1e-3)


@settings(deadline=None, max_examples=150)
@given(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from(list(LAYOUTS.values())), st.sampled_from(COLORS),
    st.tuples(st.integers(100, 150), st.integers(110, 146), st.integers(110, 146)),
)  # fmt: skip
def test_a_picture_of_one_colour_of_any_size_stays_exactly_that(width, height, layout, color, codes):
    codes = [code << (layout.depth - 8) for code in codes]
    sizes = layout.plane_sizes(width, height)
    planes = tuple(np.full(size, code, layout.dtype) for size, code in zip(sizes, codes, strict=False))
    rgb = to_rgb(planes, layout, color)
    assert rgb.shape == (1, 3, height, width)
    assert float((rgb - rgb[:, :, :1, :1]).abs().max()) < 1e-6
    for before, after in zip(planes, from_rgb(rgb, layout, color), strict=True):
        assert np.array_equal(before, after)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(list(LAYOUTS.values())), st.sampled_from(COLORS))
def test_tiny_pictures_agree_with_the_reference(width, height, layout, color):
    planes = random_planes(layout, width, height)
    rgb = to_rgb(planes, layout, color)[0].numpy()
    assert np.abs(rgb - reference.to_rgb(planes, layout, color)).max() * layout.peak < 0.01
    wanted = reference.from_rgb(rgb.astype(np.float64), layout, color)
    for plane, codes in zip(from_rgb(torch.from_numpy(rgb)[None], layout, color), wanted, strict=True):
        assert np.abs(plane.astype(np.int64) - codes).max() <= 1


def test_a_batch_is_converted_picture_by_picture():
    layout, color = PixelLayout("yuv", 10, 1, 1), ColorTags(1, False, siting="left")
    frames = [random_planes(layout, 23, 17, seed) for seed in range(3)]
    batch = ToRGB(layout, color, device="cpu")(tuple(torch.from_numpy(np.stack(p)) for p in zip(*frames, strict=True)))
    back = FromRGB(layout, color, device="cpu", dither=True)(batch)
    for index, planes in enumerate(frames):
        alone = to_rgb(planes, layout, color)
        assert torch.equal(batch[index], alone[0])
        for plane, expected in zip(back, from_rgb(alone, layout, color, dither=True), strict=True):
            assert plane.is_contiguous()
            assert np.array_equal(plane[index].numpy(), expected)


def test_codes_stay_legal():
    """Also where the chroma filter overshoots, and where a half is rounded up at the very top."""
    rgb = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3)).round()
    rgb = rgb.repeat_interleave(4, 2).repeat_interleave(4, 3)
    for dither, depth in product((False, True), (8, 10)):
        scale = 1 << (depth - 8)
        layout = PixelLayout("yuv", depth, 1, 1)
        luma, *chroma = from_rgb(rgb, layout, ColorTags(1, False, siting="left"), dither)
        assert (luma.min(), luma.max()) == (16 * scale, 235 * scale)
        for plane in chroma:
            assert (plane.min(), plane.max()) == (16 * scale, 240 * scale)
        for plane in from_rgb(rgb, layout, ColorTags(1, True, siting="left"), dither):
            assert plane.max() == layout.peak
            assert plane.min() <= 1


@pytest.mark.parametrize("layout", [PixelLayout("yuv", 10, 1, 1), PixelLayout("rgb"), PixelLayout("gray")])
def test_what_a_network_overshoots_is_clipped_before_the_matrix(layout):
    color = ColorTags(1, False, siting="left")
    rgb = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(6)) * 3 - 1
    for plane, expected in zip(from_rgb(rgb, layout, color), from_rgb(rgb.clamp(0, 1), layout, color), strict=True):
        assert np.array_equal(plane, expected)


def test_the_input_is_left_alone():
    rgb = torch.rand(1, 3, 8, 8)
    before = rgb.clone()
    for layout in (PixelLayout("yuv", 8, 1, 1), PixelLayout("rgb"), PixelLayout("gray")):
        from_rgb(rgb, layout, ColorTags(1, False, siting="left"), dither=True)
        assert torch.equal(rgb, before)


@pytest.mark.parametrize("layout", [PixelLayout("yuv", 8, 1, 1), PixelLayout("rgb"), PixelLayout("gray")])
@pytest.mark.parametrize("full", [False, True])
def test_dither_keeps_the_mean_of_flat_areas(layout, full):
    color = ColorTags(1, full, siting="left")
    for value in np.random.default_rng(4).uniform(0.05, 0.95, 24):
        span, offset = (255, 0) if full else (219, 16)
        planes = from_rgb(flat(float(value), 128, 128), layout, color, dither=True)
        luma = planes[:1] if layout.family == "yuv" else planes
        for plane in luma:
            assert abs(plane.mean() - (offset + span * value)) < 0.02
            assert int(plane.max()) - int(plane.min()) <= 1
        for plane in planes[len(luma) :]:
            assert abs(plane.mean() - 128) < 0.02


def test_dither_is_the_same_for_every_picture_and_differs_between_planes():
    color = ColorTags(0, True)
    first = from_rgb(flat(0.5), PixelLayout("rgb"), color, dither=True)
    again = from_rgb(flat(0.5), PixelLayout("rgb"), color, dither=True)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[1], first[2])


@pytest.mark.parametrize("depth", [8, 10])
def test_dither_leaves_whole_codes_alone(depth):
    layout = PixelLayout("rgb", depth)
    planes = random_planes(layout, 64, 64)
    rgb = to_rgb(planes, layout, ColorTags(0, True))
    for before, after in zip(planes, from_rgb(rgb, layout, ColorTags(0, True), dither=True), strict=True):
        assert np.array_equal(before, after)


def test_dither_shows_a_ramp_that_rounding_makes_into_bands():
    ramp = torch.linspace(0.4, 0.408, 256).view(1, 1, 1, 256).expand(1, 3, 64, 256)
    wanted = ramp[0, 0, 0].numpy() * 255
    for dither, bound in ((True, 0.1), (False, 0.6)):
        plane = from_rgb(ramp, PixelLayout("rgb"), ColorTags(0, True), dither)[0]
        smooth = np.convolve(plane.mean(0) - wanted, np.ones(32) / 32, "valid")
        assert np.abs(smooth).max() < bound
    assert np.abs(smooth).max() > 0.3


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_orientation(turns, mirror):
    stored = torch.arange(24.0).view(1, 2, 3, 4)
    expected = stored.numpy()
    if mirror:
        expected = expected[..., ::-1]
    expected = np.rot90(expected, turns, axes=(-1, -2))  # from the last axis to the one before: clockwise
    upright = orient(stored, Orientation(turns, mirror))
    assert np.array_equal(upright.numpy(), expected)
    assert upright.is_contiguous()
    assert (upright is stored) == (turns == 0 and not mirror)


def test_one_clockwise_turn_brings_the_left_side_up():
    stored = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    assert orient(stored, Orientation(1)).flatten().tolist() == [3, 1, 4, 2]
    assert orient(stored, Orientation(1, mirror=True)).flatten().tolist() == [4, 2, 3, 1]


def test_resample_keeps_constants_range_and_identity():
    rgb = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(5)).round()
    assert resample(rgb, 24, 32) is rgb
    for height, width in ((18, 24), (7, 5), (48, 50)):
        done = resample(rgb, height, width)
        assert done.shape == (1, 3, height, width)
        assert float(done.min()) >= 0
        assert float(done.max()) <= 1
        assert float((resample(flat(0.3), height, width) - 0.3).abs().max()) < 1e-6


def test_resample_does_not_alias():
    """The finest stripes become the gray between them, not new stripes."""
    stripes = (torch.arange(96) % 2).float().expand(1, 3, 48, 96)
    inner = resample(stripes, 32, 64)[..., 4:-4]
    assert float((inner - 0.5).abs().max()) < 0.25
    assert float((resample(stripes, 12, 24)[..., 4:-4] - 0.5).abs().max()) < 0.02


def test_half_precision_of_the_network_is_accepted():
    rgb = torch.rand(1, 3, 8, 8).bfloat16()
    for half, single in zip(
        from_rgb(rgb, PixelLayout("yuv"), ColorTags(1, False)),
        from_rgb(rgb.float(), PixelLayout("yuv"), ColorTags(1, False)),
        strict=True,
    ):
        assert np.array_equal(half, single)


def test_what_is_not_resolved_is_refused():
    layout = PixelLayout("yuv", 8, 1, 1)
    with pytest.raises(ValueError, match="range"):
        ToRGB(layout, ColorTags(1), device="cpu")
    with pytest.raises(ValueError, match="siting"):
        from_rgb(flat(0.5), layout, ColorTags(1, False))
    for matrix in (0, 2, 8, 10):
        with pytest.raises(InputError, match="not supported"):
            ToRGB(layout, ColorTags(matrix, False, siting="left"), device="cpu")
        with pytest.raises(InputError, match="not supported"):
            FromRGB(layout, ColorTags(matrix, False, siting="left"), device="cpu", dither=False)


SWSCALE = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 9: Colorspace.BT2020}


def smooth_rgb(width: int, height: int) -> np.ndarray:
    down, across = np.mgrid[0:height, 0:width] / max(width, height)
    return np.stack([0.5 + 0.4 * np.sin(3 * across + phase) * np.cos(2 * down) for phase in (0.0, 2.0, 4.0)])


@pytest.mark.parametrize("matrix", SWSCALE)
@pytest.mark.parametrize("full", [False, True])
def test_libswscale_agrees_on_444(matrix, full):
    layout, color = PixelLayout("yuv"), ColorTags(matrix, full)
    rgb = torch.from_numpy(smooth_rgb(64, 48)).float()[None]
    source = from_rgb(rgb, PixelLayout("rgb"), ColorTags(0, True))
    coded = ColorRange.JPEG if full else ColorRange.MPEG
    theirs = fill_frame(source, PixelLayout("rgb"), 64, 48).reformat(
        format=format_of(layout), dst_colorspace=SWSCALE[matrix], dst_color_range=coded
    )
    ours = from_rgb(to_rgb(source, PixelLayout("rgb"), ColorTags(0, True)), layout, color)
    for plane, expected in zip(ours, planes_of(theirs, layout), strict=True):
        assert np.abs(plane.astype(int) - expected.astype(int)).max() <= 2

    picture = fill_frame(ours, layout, 64, 48).reformat(
        format="gbrp", src_colorspace=SWSCALE[matrix], src_color_range=coded, dst_color_range=ColorRange.JPEG
    )
    for plane, expected in zip(to_rgb(ours, layout, color)[0], planes_of(picture, PixelLayout("rgb")), strict=True):
        assert np.abs(plane.numpy() * 255 - expected).max() <= 2


def test_a_single_column_or_row_is_resampled_like_any_other():
    line = torch.rand(1, 3, 42, 1)
    wide = resample(line.expand(1, 3, 42, 30), 14, 10)
    torch.testing.assert_close(resample(line.expand(1, 3, 42, 3), 14, 1), wide[..., :1], atol=1e-6, rtol=0)
    torch.testing.assert_close(resample(line.expand(1, 3, 42, 3).mT, 1, 14), wide[..., :1].mT, atol=1e-6, rtol=0)
    assert resample(torch.rand(1, 3, 3, 3), 1, 1).shape == (1, 3, 1, 1)
