"""Presets: the shipped ones are sound, and options given by hand win."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidsr import presets
from vidsr.errors import UsageError
from vidsr.media.containers import container_name
from vidsr.media.encoder_options import check_opens, option_names
from vidsr.media.encoders import choose, output_format
from vidsr.media.pixels import layout_of
from vidsr.models import store
from vidsr.models.builtin import builtin


@pytest.mark.parametrize("name", presets.names())
def test_shipped_preset_works_with_its_encoder(name: str) -> None:
    options = presets.apply({"preset": name})
    encoder = choose(options.codec, container_name(options.container or "mp4"))
    pix_fmt, layout, _ = output_format(encoder, layout_of("yuv420p"), options.pix_fmt)
    words = dict(pair.split("=", 1) for pair in options.encoder_option)
    assert words.keys() <= set(option_names(encoder))
    if encoder.preset_key and options.encoder_preset:
        words[encoder.preset_key] = options.encoder_preset
    check_opens(encoder, pix_fmt, 320, 192, words)
    assert layout.depth == (10 if "10" in (options.pix_fmt or "") else 8)


@pytest.mark.parametrize("name", presets.names())
def test_shipped_preset_needs_no_download(name: str) -> None:
    assert store.packaged_files(builtin().get(presets.apply({"preset": name}).model).package)
    assert presets.description(name)


def test_the_promised_ones_are_there() -> None:
    assert {"anime", "anime-dvd", "archive", "cartoon", "fast", "film", "web"} <= set(presets.names())


def test_given_by_hand_wins_over_preset_over_default() -> None:
    options = presets.apply({"preset": "fast", "crf": 12, "model": None})
    assert (options.crf, options.scale, options.encoder_preset, options.audio) == (12, 2, "veryfast", "copy")


def test_a_size_by_hand_replaces_the_size_of_the_preset() -> None:
    options = presets.apply({"preset": "fast", "height": 720})
    assert (options.scale, options.height) == (None, 720)


def test_a_codec_by_hand_drops_the_words_of_the_other_encoder() -> None:
    options = presets.apply({"preset": "fast", "codec": "vp9", "crf": 30})
    assert (options.codec, options.crf, options.encoder_preset) == ("vp9", 30, None)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="'anmie' is unknown, did you mean 'anime'"):
        presets.apply({"preset": "anmie"})


@pytest.mark.parametrize("name", ["../weights", "", "/etc/passwd"])
def test_a_preset_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="is unknown"):
        presets.load(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("description: x\noptions: {modell: y}", "preset odd: option 'modell' is unknown"),
        ("description: x\noptions: {crf: 99}", "preset odd: --crf: 99 is not allowed"),
        ("description: x\nextra: 1\noptions: {}", "preset odd: the file must hold"),
        ("just words", "preset odd: the file must hold"),
    ],
)
def test_a_preset_at_fault_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    (tmp_path / "upscale").mkdir()
    (tmp_path / "upscale" / "odd.yaml").write_text(text)
    monkeypatch.setattr(presets, "folder", lambda: tmp_path)
    with pytest.raises(UsageError) as caught:
        presets.load("odd")
    assert str(caught.value).startswith(said)
