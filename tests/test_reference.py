"""The main job against a second implementation of all its mathematics, on pieces of real clips with real weights.

From the planes of the input: colour by the standards in float64, the network and the bicubic of
`tests.reference_network` in float64, colour back. What vidsr wrote losslessly must be those codes to within one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests import measure
from tests.clips import BT709, packaged
from tests.excerpts import Box, excerpt
from tests.reference_color import Array, from_rgb, to_rgb
from tests.reference_network import bicubic, compact, upscaled
from vidsr.api import upscale
from vidsr.frames import ColorTags, PixelLayout
from vidsr.media.pixels import layout_of, planes_of
from vidsr.models.builtin import builtin
from vidsr.models.load import find
from vidsr.models.store import packaged_files
from vidsr.record import Report

Codes = list[tuple[NDArray[np.int64], ...]]
"""The planes of every picture."""

BT601, BT709_CODE = 6, 1
PIECES: dict[str, tuple[str, Box, int, str]] = {
    "cartoon": ("bigbuckbunny.mp4", (100, 60, 64, 48), 4, "yuv420p"),
    "cartoon 10 bit": ("bigbuckbunny.mp4", (100, 60, 64, 48), 4, "yuv420p10le"),
    "film": ("bikes.mp4", (300, 96, 64, 48), 1, "yuv420p"),
    "face": ("carphone_pristine.mp4", (60, 40, 64, 48), 1, "yuv420p"),
    "odd": ("carphone_pristine.mp4", (30, 20, 47, 35), 1, "yuv420p"),
    "4:2:2": ("bikes.mp4", (200, 96, 48, 32), 1, "yuv422p10le"),
}
"""Clip, box, how many times smaller, format."""

_STATES: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small gain nothing from threads, and lose much where other programs run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(rgb: Array) -> Array:
    """The released animevideov3 in float64."""
    if not _STATES:
        _STATES.update(find("animevideov3").state)
    return compact(_STATES, rgb)


def ncnn_network(rgb: Array) -> Array:
    """The same files in the ncnn runtime."""
    ncnn = pytest.importorskip("ncnn")
    files = packaged_files(builtin().get("animevideov3").package)
    assert files is not None
    net = ncnn.Net()
    net.opt.num_threads = 1
    assert net.load_param(str(files[0])) == 0
    assert net.load_model(str(files[1])) == 0
    extractor = net.create_extractor()
    picture = np.ascontiguousarray(rgb, np.float32)  # a Mat does not own the array it is made from, nor keep it alive
    extractor.input("data", ncnn.Mat(picture).clone())
    status, out = extractor.extract("output")
    assert status == 0
    return np.array(out, np.float64)


def cut(name: str, folder: Path) -> Path:
    clip, box, shrink, pix_fmt = PIECES[name]
    return excerpt(packaged(clip), folder / "in.mkv", 2, box=box, shrink=shrink, pix_fmt=pix_fmt)


def codes(path: Path) -> Codes:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [tuple(p.astype(np.int64) for p in planes_of(frame, layout_of(frame.format.name))) for frame in frames]


def expected(source: Path, size: tuple[int, int], run: Callable[[Array], Array], matrix: int = BT601) -> Codes:
    """What the standards and `run` make of every picture of `source`, limited range, chroma at the left."""
    with av.open(str(source)) as container:
        frames = list(container.decode(video=0))
    layout: PixelLayout = layout_of(frames[0].format.name)
    color = ColorTags(matrix, False, siting="left")
    rgb = (to_rgb(planes_of(frame, layout), layout, color) for frame in frames)
    return [from_rgb(upscaled(run, picture, size[1], size[0]), layout, color) for picture in rgb]


def worst(got: Codes, wanted: Codes) -> int:
    pairs = [pair for a, b in zip(got, wanted, strict=True) for pair in zip(a, b, strict=True)]
    return max(int(np.abs(a - b).max()) for a, b in pairs)


def psnr(got: Codes, wanted: Codes, peak: int, plane: int | None = None) -> float:
    """dB over all pictures, of one plane or of all samples."""
    chosen = slice(None) if plane is None else slice(plane, plane + 1)
    pairs = (zip(a[chosen], b[chosen], strict=True) for a, b in zip(got, wanted, strict=True))
    return measure.psnr(chain.from_iterable(pairs), peak)


def run(source: Path, **choices: Any) -> tuple[Report, Codes]:
    report = upscale(source, source.with_name("out.mkv"), codec="ffv1", overwrite=True, **choices)
    return report, codes(source.with_name("out.mkv"))


@pytest.mark.parametrize("name", PIECES)
def test_fp32_is_the_reference_to_within_one_code(name: str, tmp_path: Path) -> None:
    source = cut(name, tmp_path)
    report, got = run(source, precision="fp32")
    wanted = expected(source, (report.width, report.height), network)
    assert report.frames_out == len(wanted) == 2
    assert worst(got, wanted) <= 1
    share = np.mean([np.mean(a != b) for x, y in zip(got, wanted, strict=True) for a, b in zip(x, y, strict=True)])
    assert share < 0.002  # float32 beside a float64 tie


@pytest.mark.parametrize("scale", [2, 3, 1.5])
@pytest.mark.parametrize("name", ["cartoon", "cartoon 10 bit"])
def test_other_sizes_are_the_reference_resampled(name: str, scale: float, tmp_path: Path) -> None:
    source = cut(name, tmp_path)
    report, got = run(source, precision="fp32", scale=scale)
    assert (report.width, report.height) == (64 * scale, 48 * scale)
    assert worst(got, expected(source, (report.width, report.height), network)) <= 1


def test_tiles_and_batches_are_the_reference_too(tmp_path: Path) -> None:
    source = cut("film", tmp_path)
    report, got = run(source, precision="fp32", tile=32, batch=2)
    assert worst(got, expected(source, (report.width, report.height), network)) <= 1


def test_the_matrix_that_is_tagged_is_used(tmp_path: Path) -> None:
    """BT.709 on a small picture: a guess by size would be BT.601, and be off by many codes."""
    first = cut("face", tmp_path)
    tagged = tmp_path / "tagged.mkv"
    with av.open(str(first)) as old, av.open(str(tagged), "w") as new:
        stream = new.add_stream("ffv1", rate=old.streams.video[0].average_rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for name, value in BT709.items():
            setattr(stream.codec_context, name, value)
        for frame in old.decode(video=0):
            for name, value in BT709.items():
                setattr(frame, name, value)
            new.mux(stream.encode(frame))
        new.mux(stream.encode(None))
    _, got = run(tagged, precision="fp32")
    assert worst(got, expected(tagged, (256, 192), network, BT709_CODE)) <= 1
    assert worst(got, expected(tagged, (256, 192), network, BT601)) > 1
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert next(container.decode(video=0)).colorspace == BT709_CODE


@pytest.mark.parametrize("name", ["cartoon", "cartoon 10 bit", "film", "face"])
def test_default_precision_is_within_55_db(name: str, tmp_path: Path) -> None:
    source = cut(name, tmp_path)
    peak = layout_of(PIECES[name][3]).peak
    _, exact = run(source, precision="fp32")
    _, got = run(source)
    assert psnr(got, exact, peak) >= 55
    assert [psnr(got, exact, peak, plane) >= 55 for plane in range(3)] == [True] * 3


@pytest.mark.parametrize("name", ["cartoon", "cartoon 10 bit", "film", "face"])
def test_bf16_is_within_60_db(name: str, tmp_path: Path) -> None:
    source = cut(name, tmp_path)
    _, exact = run(source, precision="fp32")
    _, got = run(source, precision="bf16")
    assert psnr(got, exact, layout_of(PIECES[name][3]).peak) >= 60


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ncnn_agrees_to_50_db(precision: Any, tmp_path: Path) -> None:
    source = cut("cartoon", tmp_path)
    report, got = run(source, precision=precision)
    wanted = expected(source, (report.width, report.height), ncnn_network)
    assert psnr(got, wanted, 255) >= 50
    assert [psnr(got, wanted, 255, plane) >= 50 for plane in range(3)] == [True] * 3


def test_the_reference_bicubic_is_the_one_of_pytorch() -> None:
    """So that a fault of the reference is not taken for one of the product."""
    picture = np.random.default_rng(3).random((3, 24, 20))
    for height, width in ((18, 15), (12, 10), (31, 27), (24, 7)):
        theirs = torch.nn.functional.interpolate(
            torch.from_numpy(picture)[None], (height, width), mode="bicubic", antialias=True
        )[0].numpy()
        assert np.abs(theirs - bicubic(picture, height, width)).max() < 1e-9
