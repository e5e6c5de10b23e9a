"""`vidsr.compat.RealESRGANer` against what the reference gave (benchmarks/oracle_compat.py), and where it differs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.common import RESULTS
from tests.compat_cases import CASES, FAULTY, GOLDENS, LARGE, REAL, Case, picture, save, weights
from vidsr.cli.reference import reference
from vidsr.compat import RealESRGANer
from vidsr.compat.upsampler import device_of, reference_tiles
from vidsr.errors import DeviceError, UsageError, WeightsError
from vidsr.events import Event, FellBack, ignore
from vidsr.models.builtin import builtin

Array = np.ndarray[Any, Any]
Make = Callable[..., RealESRGANer]


@cache
def goldens() -> dict[str, Array]:
    with np.load(GOLDENS) as stored:
        return dict(stored)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The upsampler of a case, on the CPU; `options` win over those of the case."""

    def made(case: Case, **options: Any) -> RealESRGANer:
        paths = [
            name if name in REAL else save(weights(name), tmp_path / f"{name}_{case.key}_.pth", case.key)
            for name in case.networks
        ]
        asked = {"device": "cpu", "emit": ignore, **case.options, **options}
        return RealESRGANer(case.scale, paths if len(paths) > 1 else paths[0], **asked)

    return made


def apart(first: Array, second: Array) -> int:
    """The largest difference, in codes."""
    assert (first.shape, first.dtype) == (second.shape, second.dtype)
    return int(np.abs(first.astype(int) - second.astype(int)).max())


@pytest.mark.parametrize("name", CASES)
def test_within_one_code_of_the_reference(name: str, make: Make) -> None:
    case = CASES[name]
    before = case.picture.copy()
    result, mode = make(case).enhance(case.picture, **case.call)
    assert apart(result, goldens()[name]) <= 1
    assert mode == str(goldens()[f"mode {name}"])
    assert np.array_equal(case.picture, before)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["rgb", "gray padded", "rgba tiled", "rrdb2 tiled", "mixed 0.3", "real animevideov3"])
def test_a_gpu_gives_the_same(name: str, make: Make) -> None:
    case = CASES[name]
    assert apart(make(case, device="cuda").enhance(case.picture, **case.call)[0], goldens()[name]) <= 1
    half = make(case, device="cuda", half=True)
    assert half.half
    result, _ = half.enhance(case.picture, **case.call)
    assert np.abs(result.astype(int) - goldens()[name].astype(int)).mean() < 0.5


def test_every_case_and_nothing_else_is_stored() -> None:
    names = {*CASES, *FAULTY}
    assert set(goldens()) == names | {f"mode {name}" for name in names}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "tile_pad" in case.options])
def test_these_tiles_show(name: str, make: Make) -> None:
    """The comparison above would not tell tiles from none, or from other ones, where they cannot be seen."""
    case = CASES[name]
    assert apart(make(case, tile=0).enhance(case.picture, **case.call)[0], goldens()[name]) > 1
    moved = make(case, tile=case.options["tile"] - 2)
    assert apart(moved.enhance(case.picture, **case.call)[0], goldens()[name]) > 1


@pytest.mark.parametrize("name", ["gray padded", "rgb padded", "rrdb2 padded", "rgba padded, to 3.5"])
def test_this_padding_shows(name: str, make: Make) -> None:
    case = CASES[name]
    assert apart(make(case, pre_pad=0).enhance(case.picture, **case.call)[0], goldens()[name]) > 1


def test_the_cores_of_the_tiles_are_those_of_the_reference() -> None:
    cores = [tile.core for tile in reference_tiles(53, 70, 32, 10)]
    assert [(core.top, core.bottom) for core in cores[::3]] == [(0, 32), (32, 53)]
    assert [(core.left, core.right) for core in cores[:3]] == [(0, 32), (32, 64), (64, 70)]
    assert [tile.padded.left for tile in reference_tiles(53, 70, 32, 10)][:3] == [0, 22, 54]


def test_attributes_are_read_at_every_call(make: Make) -> None:
    case, other = CASES["rgb"], CASES["rgb padded"]
    upsampler = make(case)
    upsampler.enhance(case.picture)
    upsampler.pre_pad = 10
    assert apart(upsampler.enhance(other.picture)[0], goldens()["rgb padded"]) <= 1
    tiled = CASES["rgba tiled"]
    upsampler.pre_pad, upsampler.tile_size, upsampler.tile_pad = 0, 8, 2
    assert apart(upsampler.enhance(tiled.picture)[0], goldens()["rgba tiled"]) <= 1


@pytest.mark.parametrize(("name", "rule"), [("rgb", None), ("compact2", 2), ("rrdb1", 4)])
def test_attributes_of_the_reference_are_there(name: str, rule: int | None, make: Make) -> None:
    upsampler = make(CASES[name], tile=24, tile_pad=5, pre_pad=3)
    assert (upsampler.scale, upsampler.mod_scale) == (CASES[name].scale, rule)
    assert (upsampler.tile_size, upsampler.tile_pad, upsampler.pre_pad) == (24, 5, 3)
    assert upsampler.half is False
    assert upsampler.device == torch.device("cpu")
    assert isinstance(upsampler.model, nn.Module)


# What differs on purpose; docs/compat.md has the list.


def test_the_type_says_how_deep_a_picture_is(make: Make) -> None:
    """The reference takes a dark picture of 16 bits for one of 8."""
    case = FAULTY["dark, 16 bit"]
    assert case.picture.dtype == np.uint16
    assert case.picture.max() <= 256
    assert goldens()["dark, 16 bit"].dtype == np.uint8
    result, _ = make(case).enhance(case.picture)
    assert result.dtype == np.uint16
    bright, _ = make(case).enhance((case.picture // 2).astype(np.uint8))
    assert result.mean() / 65535 < bright.mean() / 255 / 4


def test_either_order_of_bytes(make: Make) -> None:
    case = FAULTY["dark, 16 bit"]
    upsampler = make(case)
    swapped, _ = upsampler.enhance(case.picture.astype(">u2"))
    assert np.array_equal(swapped, upsampler.enhance(case.picture)[0])


def test_averaged_weights_are_mixed_too(make: Make) -> None:
    """The reference mixes `params` and then loads the `params_ema` of the first file."""
    name = "mixed 0.3, averaged weights"
    result, _ = make(FAULTY[name]).enhance(FAULTY[name].picture)
    assert apart(result, goldens()["mixed 0.3"]) <= 1
    assert apart(result, goldens()[name]) > 1
    assert apart(goldens()["rgb"], goldens()[name]) <= 1


def test_a_gray_picture_may_have_a_channel(make: Make) -> None:
    case = CASES["gray"]
    result, mode = make(case).enhance(case.picture[..., None])
    assert mode == "L"
    assert apart(result, goldens()["gray"]) <= 1


def test_pictures_smaller_than_the_padding(make: Make) -> None:
    """The reference refuses to mirror more than there is."""
    for shape in ((1, 1), (2, 5), (9, 3)):
        result, _ = make(CASES["rgb"], pre_pad=10).enhance(picture(3, *shape))
        assert result.shape == (4 * shape[0], 4 * shape[1], 3)


def test_odd_tiles_of_a_network_that_needs_even_ones(make: Make) -> None:
    case = CASES["rrdb2"]
    result, _ = make(case, tile=7, tile_pad=40).enhance(case.picture)
    assert apart(result, goldens()["rrdb2"]) <= 1


class Short(nn.Module):
    """Has no memory for pictures of more than `limit` pixels."""

    def __init__(self, network: nn.Module, limit: int, error: Exception) -> None:
        super().__init__()
        self.network, self.limit, self.error = network, limit, error

    def forward(self, rgb: Tensor) -> Tensor:
        if rgb.shape[-1] * rgb.shape[-2] > self.limit:
            raise self.error
        result: Tensor = self.network(rgb)
        return result


def test_no_memory_means_smaller_tiles_and_nothing_stale(make: Make) -> None:
    """The reference prints the error and puts the tile before in the place of this one."""
    told: list[Event] = []
    upsampler = make(CASES["rgb"], tile_pad=14, emit=told.append)
    scene = picture(3, 40, 70)
    whole, _ = upsampler.enhance(scene)
    runner = upsampler._inference.runner
    runner.network = Short(upsampler.model, 46 * 60, torch.OutOfMemoryError("no memory"))  # type: ignore[attr-defined]
    result, _ = upsampler.enhance(scene)
    assert apart(result, whole) <= 1
    assert [event.used for event in told if isinstance(event, FellBack)] == ["tile 35"]


def test_a_tile_that_fails_is_an_error(make: Make) -> None:
    upsampler = make(CASES["rgb"], tile=8)
    runner = upsampler._inference.runner
    runner.network = Short(upsampler.model, 0, RuntimeError("broken"))  # type: ignore[attr-defined]
    with pytest.raises(DeviceError, match="broken"):
        upsampler.enhance(CASES["rgb"].picture)


def test_half_on_a_cpu_is_float32_and_told(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "vidsr.compat"):
        upsampler = RealESRGANer(4, "animevideov3", half=True, device="cpu", pre_pad=0)
    assert caplog.messages == ["float32 in place of float16: animevideov3 cannot do it on cpu"]
    assert upsampler.half is False
    case = CASES["real animevideov3"]
    assert apart(upsampler.enhance(case.picture)[0], goldens()["real animevideov3"]) <= 1


def test_strange_weights_are_told_to_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(weights("compact4"), tmp_path / "mine.pth")
    RealESRGANer(4, path, device="cpu")
    assert [text for text in caplog.messages if "mine.pth are unverified" in text]


def test_the_first_gpu_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the reference `gpu_id=0` is the same as none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of(None, 0) == torch.device("cuda:0")
    assert device_of(None, 1) == torch.device("cuda:1")
    assert device_of(None, None) == torch.device("cuda")
    assert device_of("cpu", 1) == torch.device("cpu")
    with pytest.raises(DeviceError, match="cuda:2"):
        device_of(None, 2)


def test_without_a_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(None, 1) == torch.device("cpu")


# Weights and modules.


def test_the_address_of_an_official_file_is_its_built_in_network() -> None:
    case = CASES["real animevideov3"]
    upsampler = RealESRGANer(4, builtin().get("animevideov3").url, device="cpu", pre_pad=0)
    assert apart(upsampler.enhance(case.picture)[0], goldens()["real animevideov3"]) <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, "https://example.org/realesr-animevideov3.pth"), "not the address of an official file"),
        ((2, "animevideov3"), "scale is 2, but animevideov3 enlarges 4 times"),
        ((4, ["animevideov3", "animevideov3"]), "dni_weight is None for 2 networks"),
        ((4, ["animevideov3", "animevideov3"], [0.5, 0.7]), "sum 1"),
        ((4, ["animevideov3", "animevideov3"], [1.0]), "dni_weight"),
        ((4, ["animevideov3"] * 3, [0.2, 0.3, 0.5]), "for 3 networks"),
        ((4, "realesr-animevideov4"), "did you mean 'realesr-animevideov3'"),
    ],
)
def test_calls_that_are_wrong(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RealESRGANer(*arguments)


def test_networks_of_other_shapes_are_not_mixed(make: Make) -> None:
    with pytest.raises(WeightsError, match="mixed"):
        make(Case(("compact4", "rrdb4"), picture(3), {"dni_weight": [0.5, 0.5]}))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "NoneType"),
        (np.zeros((4, 4, 2), np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((4, 4), bool), "bool"),
        (np.full((4, 4), np.nan, np.float32), "NaN"),
    ],
)
def test_what_is_no_picture(image: Any, message: str, make: Make) -> None:
    with pytest.raises(UsageError, match=message):
        make(CASES["rgb"]).enhance(image)


def test_a_size_of_nothing(make: Make) -> None:
    with pytest.raises(UsageError, match=r"outscale 0\.05"):
        make(CASES["rgb"]).enhance(picture(3), outscale=0.05)


class Own(nn.Module):
    """A network that vidsr does not know: it halves the picture first, and enlarges it by sub-pixels."""

    def __init__(self, scale: int = 2) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 4, stride=2, padding=1)
        self.groups = nn.Conv2d(8, 8, 3, padding="same", padding_mode="reflect", groups=4)
        self.last = nn.Conv2d(8, 3 * (2 * scale) ** 2, 3, padding=2, dilation=2)
        self.scale = scale

    def forward(self, rgb: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.last(torch.tanh(self.groups(self.first(rgb)))), 2 * self.scale)


def test_a_module_of_ones_own_is_what_runs(tmp_path: Path) -> None:
    trained, given = Own(), Own()
    path = save({name: tensor.clone() for name, tensor in trained.state_dict().items()}, tmp_path / "own_net.pth")
    upsampler = RealESRGANer(2, path, model=given, pre_pad=0, device="cpu", emit=ignore)
    scene = picture(3, 12, 16)
    rgb = torch.from_numpy(scene[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = (trained(rgb)[0].clamp(0, 1).permute(1, 2, 0).numpy()[..., ::-1] * 255).round().astype(np.uint8)
    assert apart(upsampler.enhance(scene)[0], expected) <= 1
    assert expected.std() > 5
    with pytest.raises(UsageError, match="scale is 4"):
        RealESRGANer(4, path, model=given, device="cpu", emit=ignore).enhance(scene)
    with pytest.raises(WeightsError, match="do not fit the model"):
        RealESRGANer(2, path, model=Own(3), device="cpu", emit=ignore)


def test_modules_of_the_known_networks_may_be_given(make: Make) -> None:
    from vidsr.models.archs.compact import SRVGGNetCompact

    case = CASES["mixed 0.3"]
    upsampler = make(case, model=SRVGGNetCompact(8, 12, 4))
    assert apart(upsampler.enhance(case.picture)[0], goldens()["mixed 0.3"]) <= 1


# docs/compat.md.

DOCUMENT = (Path(__file__).parent.parent / "docs" / "compat.md").read_text(encoding="utf-8")


def test_the_measured_numbers_are_those_of_the_results() -> None:
    results = json.loads((RESULTS / "compat.json").read_text(encoding="utf-8"))["cases"]
    assert results.keys() == {*CASES, *LARGE, *FAULTY}
    for bits in (8, 16):
        cases = [results[name] for name in (*CASES, *LARGE) if results[name]["bits"] == bits]
        same = sum(case["apart"] == 0 for case in cases)
        samples = sum(case["samples"] for case in cases)
        differing = round(sum(case["samples"] * (1 - case["equal"]) for case in cases))
        worst = max(case["apart"] for case in cases)
        code = f"{worst} code of {2**bits - 1}"
        assert f"| {bits} bits | {len(cases)} | {same} | {code} | {differing} of {samples} |" in DOCUMENT


def test_every_option_of_the_command_line_that_is_named_exists() -> None:
    rows = [line.split("|")[1:3] for line in DOCUMENT.splitlines() if re.match(r"\| `-", line)]
    assert len(rows) > 25
    named = {flag for _, ours in rows for flag in re.findall(r"`(--[a-z-]+|-[a-z]+)\b", ours)}
    missing = {flag for flag in named if not re.search(rf"(?<![\w-]){flag}\b", reference())}
    assert not missing


def test_attributes_that_are_said_to_be_missing_are(make: Make) -> None:
    [row] = [line for line in DOCUMENT.splitlines() if "`tile_process`" in line]
    names = re.findall("`([a-z_]+)`", row)
    assert len(names) == 9
    assert not [name for name in names if hasattr(make(CASES["rgb"]), name)]
