"""Real codecs in memory: right colours, quality that follows its number, the same bytes, and failures that are told."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.degrade.pictures import plain, psnr, scene
from trainer.degrade import codec as module
from trainer.degrade.codec import CodingError, codec, recode
from trainer.degrade.codec_options import Codec
from trainer.degrade.codec_settings import Settings, available, draw
from trainer.degrade.yuv import LAYOUTS, Yuv
from vidsr.frames import PixelLayout

CODERS = [name for name in ("mpeg2", "mpeg4", "h264", "hevc", "vp9", "av1") if available(name)]
TASKS = Path("/proc/self/task")


def only(name: str, **values: Any) -> Codec:
    """Options with one coder; values that the coder has are its own."""
    others: dict[str, Any] = dict.fromkeys(set(Codec().coders) - {name})
    own = {key: values.pop(key) for key in ("quality", "bits", "presets", "profiles", "speed") if key in values}
    return Codec(**others, **{name: own}, **{"lead": (0, 0), "tail": (0, 0), "by_bit_rate": 0.0} | values)


def settings_of(name: str, seed: int = 0, **values: Any) -> Settings:
    drawn = draw(only(name, **values), np.random.default_rng(seed))
    assert drawn is not None
    assert drawn.coder == name
    return drawn


def test_the_build_has_the_codecs_that_the_rest_of_the_tests_need() -> None:
    assert {"mpeg2", "mpeg4", "h264"} <= set(CODERS)


@pytest.mark.parametrize("sampling", LAYOUTS)
@pytest.mark.parametrize("name", CODERS)
def test_red_stays_red(name: str, sampling: str) -> None:
    fine = settings_of(name, quality=(4, 4), sampling={sampling: 1}, bt601=0.3)
    for colour in ((230, 30, 20), (20, 200, 40), (25, 40, 220)):
        coded = recode(plain(colour), fine)
        assert np.abs(coded.astype(int) - colour).max() <= 6, (fine, colour)


@pytest.mark.parametrize("name", CODERS)
def test_a_larger_number_is_a_worse_picture(name: str) -> None:
    ladders = {"mpeg2": (2, 8, 24), "mpeg4": (2, 8, 24), "h264": (14, 34, 46), "hevc": (14, 34, 46)}
    clip, levels = scene(3, 96, 128), ladders.get(name, (14, 34, 54))
    values = [psnr(clip, recode(clip, settings_of(name, quality=(level, level)))) for level in levels]
    assert values[0] > values[1] + 0.5 > values[2] + 1.5, values
    assert values[0] > 30  # more cannot be had in 4:2:0


@pytest.mark.parametrize("name", CODERS)
def test_fewer_bits_are_a_worse_picture(name: str) -> None:
    clip = scene(4, 128, 160, speed=9)
    many, few = (settings_of(name, by_bit_rate=1.0, bits=(bits, bits), gop=(30, 30)) for bits in (2.0, 0.02))
    assert many.bits == pytest.approx(2.0)
    assert psnr(clip, recode(clip, many)) > psnr(clip, recode(clip, few)) + 1


@pytest.mark.parametrize("name", CODERS)
def test_the_same_generator_gives_the_same_bytes(name: str) -> None:
    clip, options = scene(3, 70, 150), only(name, lead=(0, 3), tail=(0, 1), by_bit_rate=0.3)
    for seed in range(2):
        one, two = (codec(clip, options, np.random.default_rng(seed), Counter()) for _ in range(2))
        assert (one == two).all()


@pytest.mark.skipif(sys.platform != "linux", reason="MALLOC_PERTURB_ is of glibc")
@pytest.mark.slow
def test_bytes_do_not_depend_on_what_memory_held_before() -> None:
    """x264 and x265 read memory they never wrote in some settings; fresh memory is filled with another byte here."""
    code = """if True:
        import cv2, hashlib, numpy as np
        from trainer.degrade.codec import recode
        from trainer.degrade.codec_options import Codec
        from trainer.degrade.codec_settings import draw
        for name, height, width, seeds in (("h264", 144, 176, 1), ("hevc", 60, 62, 5)):
            others = dict.fromkeys(set(Codec().coders) - {name})
            options = Codec(**others, by_bit_rate=0.3, b_frames=(2, 3), sampling={"420": 1, "444": 1})
            for seed in range(seeds):
                noise = np.random.default_rng(seed).integers(0, 256, (height + 20, width + 40, 3), np.uint8)
                soft = cv2.GaussianBlur(noise, (5, 5), 1.2)
                clip = np.stack([soft[step : step + height, 3 * step : 3 * step + width] for step in range(4)])
                settings = draw(options, np.random.default_rng(seed))
                print(name, seed, settings and hashlib.sha256(recode(clip, settings).tobytes()).hexdigest())
    """
    environments = [{**os.environ, "MALLOC_PERTURB_": fill, "PYTHONHASHSEED": "0"} for fill in ("1", "200")]
    told = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        for env in environments
    ]
    assert told[0] == told[1]
    assert told[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 45), st.integers(1, 45), st.integers(0, 10_000))
def test_any_size_and_any_draw_come_back_in_shape(frames: int, height: int, width: int, seed: int) -> None:
    clip = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)
    tally: Counter[str] = Counter()
    coded = codec(clip, Codec(by_bit_rate=0.4), np.random.default_rng(seed), tally)
    assert coded.shape == clip.shape
    assert coded.dtype == np.uint8
    assert tally.total() == 1
    assert not any("failed" in key or "not coded" in key for key in tally)


def test_odd_sizes_are_padded_by_their_edges_and_cut_again() -> None:
    clip = plain((200, 90, 30), 2, 33, 47)
    assert np.abs(recode(clip, settings_of("h264", quality=(10, 10))).astype(int) - clip).max() <= 4


def test_a_failure_draws_again_and_is_counted(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    encode, tried = module.encode, []

    def flaky(clip: Any, drawn: Settings) -> Any:
        tried.append(drawn)
        if len(tried) < 3:
            raise av.error.InvalidDataError(1, "Invalid data found when processing input")
        return encode(clip, drawn)

    monkeypatch.setattr(module, "encode", flaky)
    clip, tally = scene(), Counter[str]()
    with caplog.at_level(logging.WARNING):
        coded = codec(clip, only("h264", quality=(35, 36)), np.random.default_rng(0), tally)
    assert tally == {"codec: h264 failed": 2, "codec: h264": 1}
    assert tried[0] != tried[1] != tried[2]
    assert (coded != clip).any()
    assert "h264 failed on a clip of 3 frames of 64x48: invalid data found" in caplog.text


def test_a_clip_that_cannot_be_coded_stays_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(clip: Any, drawn: Settings) -> Any:
        raise CodingError("broken")

    monkeypatch.setattr(module, "recode", broken)
    clip, tally = scene(), Counter[str]()
    assert (codec(clip, only("mpeg2", attempts=3), np.random.default_rng(0), tally) == clip).all()
    assert tally == {"codec: mpeg2 failed": 3, "codec: not coded": 1}


def test_frames_that_get_lost_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = module.decode
    monkeypatch.setattr(module, "decode", lambda packets, drawn: decode(packets, drawn)[1:])
    with pytest.raises(CodingError, match="2 frames came back instead of 3"):
        recode(scene(), settings_of("mpeg2"))


def test_options_that_an_encoder_refuses_are_a_failure() -> None:
    drawn = settings_of("h264")
    drawn.options["preset"] = "sluggish"
    with pytest.raises(CodingError):
        recode(scene(), drawn)


@pytest.mark.parametrize("name", CODERS)
def test_encoders_know_every_word(name: str) -> None:
    for seed in range(8):
        drawn = settings_of(name, seed, by_bit_rate=0.5)
        context = module._encoder(drawn, 128, 128)
        context.open()
        assert not context.options, "FFmpeg leaves here what nobody took"


def test_coders_that_the_build_lacks_are_never_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.degrade.codec_settings.available", lambda name: name == "mpeg4")
    rng = np.random.default_rng(0)
    drawn = [draw(Codec(), rng) for _ in range(30)]
    assert {one.coder for one in drawn if one} == {"mpeg4"}
    tally: Counter[str] = Counter()
    monkeypatch.setattr("trainer.degrade.codec_settings.available", lambda name: False)
    clip = scene()
    assert (codec(clip, Codec(), rng, tally) == clip).all()
    assert tally == {"codec: not coded": 1}


def test_frames_before_and_after_are_thrown_away() -> None:
    clip, options = scene(3, 96, 128), only("h264", quality=(12, 12), lead=(3, 3), tail=(2, 2), gop=(60, 60))
    coded = codec(clip, options, np.random.default_rng(0), Counter())
    errors = [[psnr(one[None], other[None]) for other in clip] for one in coded]
    assert (np.argmax(errors, axis=1) == np.arange(3)).all()


def test_a_clip_is_extended_by_its_mirror_and_a_frame_by_pans() -> None:
    clip = scene(3)
    extended = module._extended(clip, 3, 2, np.random.default_rng(0))
    assert [int(np.argmin([np.abs(one.astype(int) - other).sum() for other in clip])) for one in extended] == [
        1, 2, 1, 0, 1, 2, 1, 0]  # fmt: skip
    single = module._extended(clip[:1], 2, 1, np.random.default_rng(2))
    assert (single[2] == clip[0]).all()
    assert (single[1] != single[2]).any()


@pytest.mark.skipif(not TASKS.exists(), reason="counts threads by /proc")
@pytest.mark.parametrize("name", CODERS)
def test_nothing_stays_behind(name: str) -> None:
    """Threads, files and memory of encoders end with them, also after failures; a lost context would be megabytes."""
    drawn = settings_of(name)
    spoilt = replace(drawn, yuv=Yuv(PixelLayout("yuv", 8, 2, 2)))  # 4:1:0, which none of them codes

    def work(times: int) -> tuple[int, int, int]:
        for _ in range(times):
            recode(scene(2), drawn)
            with pytest.raises(CodingError):
                recode(scene(2), spoilt)
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return len(list(TASKS.iterdir())), len(list(Path("/proc/self/fd").iterdir())), pages * 4096 >> 20

    threads, files, memory = work(4)
    later = work(12)
    assert later[:2] == (threads, files)
    assert later[2] - memory < 12
