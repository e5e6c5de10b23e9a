"""What television did: combs where things move, ghosts of other times, and the dots and rainbows of composite video."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainer.degrade.pictures import chroma, degraded, grays, plain, scene
from trainer.degrade.frames import composite as module
from trainer.degrade.frames.composite import NTSC, PAL, System, band_pass, carriers, decode, encode, line_numbers
from trainer.degrade.pixels import Clip

WEAVE: dict[str, Any] = {"deinterlacing": {"weave": 1}, "telecine": 0}


def combing(clip: Clip) -> NDArray[Any]:
    """H W per frame: how much a line differs from the mean of its neighbours, beyond what they differ themselves."""
    lines = clip[..., 1].astype(float)
    off = np.abs(lines[:, 2:-2] - (lines[:, 1:-3] + lines[:, 3:-1]) / 2)
    return np.asarray(off - np.abs(lines[:, 1:-3] - lines[:, 3:-1]))


# interlace


def test_combs_are_only_where_things_move() -> None:
    clip = scene(3, 48, 80, speed=6)
    woven = degraded(clip, "interlace", **WEAVE)
    moved = (clip != np.stack([clip[1], clip[2], clip[1]])).any(axis=3)
    assert (woven[~moved] == clip[~moved]).all()
    assert (combing(woven) > 30).sum() > 20
    assert (combing(clip) > 30).sum() < (combing(woven) > 30).sum() / 4
    still = np.repeat(clip[:1], 3, axis=0)
    assert (degraded(still, "interlace", **WEAVE) == still).all()


@pytest.mark.parametrize("bottom_first", [0, 1])
def test_a_woven_frame_is_the_fields_of_two_frames(bottom_first: int) -> None:
    clip = scene(3)
    woven = degraded(clip, "interlace", bottom_first=bottom_first, **WEAVE)
    early, late = (1, 0) if bottom_first else (0, 1)
    assert (woven[0, early::2] == clip[0, early::2]).all()
    assert (woven[0, late::2] == clip[1, late::2]).all()


def test_telecine_combs_two_frames_of_five() -> None:
    clip = scene(10, 48, 120)
    changed = (degraded(clip, "interlace", telecine=1, deinterlacing={"weave": 1}) != clip).any(axis=(1, 2, 3))
    assert changed.sum() == 4
    assert (changed[:5] == changed[5:]).all()


def test_bob_doubles_the_lines_of_one_field() -> None:
    bobbed = degraded(scene(2), "interlace", deinterlacing={"bob": 1}, bottom_first=0, alternating=0, telecine=0)
    assert (bobbed[:, 0::2] == scene(2)[:, 0::2]).all()
    assert (bobbed[:, 1::2] == bobbed[:, 0::2]).all()


def test_linear_keeps_one_field_and_blend_holds_both_times() -> None:
    clip = scene(2)
    linear = degraded(clip, "interlace", deinterlacing={"linear": 1}, bottom_first=1, alternating=0, telecine=0)
    assert (linear[:, 1::2] == clip[:, 1::2]).all()
    between = (clip[0, 1:-2:2].astype(float) + clip[0, 3::2]) / 2
    assert np.abs(linear[0, 2::2] - between).max() <= 0.5
    blended = degraded(clip, "interlace", deinterlacing={"blend": 1}, telecine=0)
    assert (combing(blended) > 30).sum() == 0
    assert np.abs(blended[0].astype(float) - (clip[0].astype(float) + clip[1]) / 2)[14:-14].mean() < 4


def test_fields_in_turns_make_the_picture_tremble() -> None:
    still = np.repeat(scene(1), 4, axis=0)
    trembling = degraded(still, "interlace", deinterlacing={"bob": 1}, alternating=1)
    assert (trembling[0] == trembling[2]).all()
    assert (trembling[0] != trembling[1]).any()


# frame_blend


def test_a_mixed_frame_is_the_exact_mean_with_the_next() -> None:
    clip = scene(4)
    mixed = degraded(clip, "frame_blend", trails=0, share=(0.5, 0.5), period=(1, 1))
    assert np.abs(mixed[:3] - (clip[:3].astype(float) + clip[1:]) / 2).max() <= 0.5
    some = degraded(scene(9), "frame_blend", trails=0, share=(0.5, 0.5), period=(3, 3))
    assert (some != scene(9)).any(axis=(1, 2, 3)).sum() == 3


def test_trails_fade_by_their_share() -> None:
    clip = np.zeros((5, 4, 4, 3), np.uint8)
    clip[0] = 200
    trails = degraded(clip, "frame_blend", trails=1, share=(0.4, 0.4))[:, 0, 0, 0]
    assert trails.tolist() == [200, 80, 32, 13, 5]


@pytest.mark.parametrize("trails", [0, 1])
def test_what_stands_still_and_a_single_frame_stay(trails: int) -> None:
    still = np.repeat(scene(1), 3, axis=0)
    assert (degraded(still, "frame_blend", trails=trails) == still).all()
    assert (degraded(still[:1], "frame_blend", trails=trails) == still[:1]).all()


# composite


QUIET: dict[str, Any] = {"noise": (0, 0), "chroma_bandwidth": (1.3, 1.3), "notch": (0.5, 0.5)}


@pytest.mark.parametrize("pal", [0, 1])
@pytest.mark.parametrize("comb", [0, 1])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_flat_colours_come_through(pal: int, comb: int, interlaced: int) -> None:
    for colour in ((120, 120, 120), (200, 60, 40), (30, 90, 220)):
        clip = plain(colour, 2, 40, 96)
        seen = degraded(clip, "composite", pal=pal, comb=comb, interlaced=interlaced, **QUIET)
        assert np.abs(seen.astype(int) - clip)[:, 8:-8].max() <= 2, colour


@pytest.mark.parametrize("pal", [0, 1])
def test_smooth_grays_have_neither_dots_nor_rainbows(pal: int) -> None:
    ramp = np.repeat(np.linspace(30, 220, 160)[None, None, :, None].astype(np.uint8), 3, axis=3).repeat(40, axis=1)
    seen = degraded(ramp, "composite", pal=pal, comb=0, **QUIET)
    assert chroma(seen).max() <= 3
    assert np.abs(seen.astype(int) - ramp).max() <= 3


def coloured_edge(width: int = 360) -> Clip:
    """Two colours of equal luma, side by side, in two frames."""
    clip = plain((180, 80, 80), 2, 40, width)
    other = np.array([60, 141, 80])
    clip[:, :, width // 2 :] = other
    assert abs(to_luma(clip[0, 0, 0]) - to_luma(clip[0, 0, -1])) < 1
    return clip


def to_luma(colour: NDArray[Any]) -> float:
    return float(np.asarray(colour, float) @ (0.299, 0.587, 0.114))


def test_dots_crawl_along_coloured_edges_and_nowhere_else() -> None:
    clip = coloured_edge()
    seen = degraded(clip, "composite", pal=0, comb=0, interlaced=0, noise=(0, 0), notch=(0.3, 0.3))
    light = seen.astype(float) @ (0.299, 0.587, 0.114)
    at_edge, away = light[:, 5:-5, 172:188], light[:, 5:-5, 40:100]
    assert at_edge.std(axis=2).mean() > 3 * max(away.std(axis=2).mean(), 0.3)
    swing = at_edge - at_edge.mean(axis=(0, 1))
    assert np.corrcoef(swing[0, 0], swing[0, 1])[0, 1] < -0.8, "dots change sign from line to line"
    assert np.corrcoef(swing[0, 0], swing[1, 0])[0, 1] < -0.8, "and from frame to frame, so they crawl"


def test_fine_gray_stripes_at_the_carrier_become_rainbows() -> None:
    x = np.arange(NTSC.samples)
    clip = np.zeros((1, 40, NTSC.samples, 3), np.uint8)
    clip[:] = np.rint(128 + 60 * np.sin(np.pi / 2 * 1.02 * x))[None, None, :, None]
    notched = degraded(clip, "composite", pal=0, comb=0, interlaced=0, **QUIET)
    combed = degraded(clip, "composite", pal=0, comb=1, interlaced=0, **QUIET)
    assert chroma(clip).max() == 0
    assert chroma(notched)[:, 8:-8].mean() > 20
    assert chroma(combed)[:, 8:-8].mean() < chroma(notched)[:, 8:-8].mean() / 5, "a comb tells them from chroma"


def test_a_comb_leaves_dots_at_horizontal_edges_of_colour() -> None:
    clip = np.ascontiguousarray(coloured_edge(40).transpose(0, 2, 1, 3)).repeat(8, axis=2)
    seen = degraded(clip, "composite", pal=0, comb=1, interlaced=0, **QUIET)
    light = (seen.astype(float) @ (0.299, 0.587, 0.114))[:, :, 40:-40]
    assert light[:, 19:21].std(axis=2).mean() > 5
    assert light[:, 8:14].std(axis=2).mean() < 1


@pytest.mark.parametrize("system", [NTSC, PAL])
def test_carriers_have_the_phases_of_their_system(system: System) -> None:
    lines = line_numbers(system, 0, 8, interlaced=False)
    sine, cosine = carriers(system, lines)
    assert np.abs(sine**2 + cosine**2 - 1).max() < 1e-5
    away = 2 if system.alternating else 1
    assert np.corrcoef(sine[0], sine[away])[0, 1] < -0.99
    assert np.corrcoef(cosine[0], cosine[away])[0, 1] < -0.99
    following = line_numbers(system, 1, 8, interlaced=False)
    assert following[0] - lines[0] == system.lines


def test_rows_of_an_interlaced_frame_belong_to_two_fields() -> None:
    assert line_numbers(NTSC, 0, 5, interlaced=True).tolist() == [0, 263, 1, 264, 2]
    assert line_numbers(PAL, 1, 4, interlaced=True).tolist() == [625, 625 + 313, 626, 626 + 313]


def test_the_filter_around_the_carrier_passes_it_and_not_gray() -> None:
    for reach in (0.02, 0.09):
        taps = band_pass(reach)
        assert abs(taps.sum()) < 1e-6
        assert taps @ np.cos(np.pi / 2 * (np.arange(len(taps)) - len(taps) // 2)) == pytest.approx(1, abs=1e-6)


def test_coder_and_decoder_are_inverse_for_slow_colours() -> None:
    y, x = np.mgrid[:48, :320]
    slow = np.stack([128 + 60 * np.sin(x / 40), 128 + 50 * np.cos(x / 50), 100 + 0 * y], axis=2)
    frame = np.rint(slow).astype(np.uint8)
    lines, low = line_numbers(NTSC, 0, 48, interlaced=False), module.low_pass(1.3 / (4 * NTSC.mhz))
    signal = encode(frame, NTSC, lines, low)
    assert signal.shape == (48, NTSC.samples + 64)
    seen = decode(signal, NTSC, lines, low, band_pass(0.09), 320, comb=0)
    assert np.abs(seen.astype(int) - frame).max() <= 3


def test_noise_on_the_wire_is_seen() -> None:
    clip = grays(1, 40, 120)
    quiet, noisy = (degraded(clip, "composite", noise=(level, level)) for level in (0.0, 0.05))
    assert np.abs(noisy.astype(float) - quiet).mean() > 3
