"""Options: what is accepted, and how faults are told."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from vidsr.errors import UsageError
from vidsr.options import Options, flag_of, long_flag, parse


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"scale": "99"}, ["--scale", "'99'", "16"]),
        ({"size": "3"}, ["--size", "'3'", "1920x1080"]),
        ({"precision": "fp17"}, ["--precision", "'fp17'", "did you mean 'fp16'?"]),
        ({"tile": "x"}, ["--tile", "'x'", "'auto'", "whole number"]),
        ({"tile": "8"}, ["--tile", "'8'", "at least 16"]),
        ({"batch": "0"}, ["--batch", "at least 1"]),
        ({"crf": "good"}, ["--crf", "'good'", "a number"]),
        ({"encoder_option": ("a",)}, ["--encoder-option", "'a'", "KEY=VALUE"]),
        ({"drop": ("date",)}, ["--drop", "'date'", "did you mean 'data'?"]),
        ({"modell": "x"}, ["'modell'", "did you mean 'model'?"]),
        ({"scale": 2, "size": "2x2"}, ["--scale and --size exclude each other"]),
        ({"scale": 2, "size": "2x2", "height": 4}, ["--scale and --size and --height exclude each other"]),
    ],
)
def test_a_fault_names_option_value_and_what_is_allowed(values: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(values)
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        parse({"scale": 99, "height": 480, "crf": -1, "tile": "x"})
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["--scale", "--tile", "--crf"]
    assert lines[3:] == ["--scale and --height exclude each other"]


def test_words_of_the_command_line_become_values() -> None:
    options = parse({"scale": "2.5", "tile": "128", "batch": "auto", "crf": "18", "report": "r.json"})
    assert (options.scale, options.tile, options.batch, options.crf) == (2.5, 128, "auto", 18)
    assert str(options.report) == "r.json"


def test_options_are_frozen_and_check_themselves() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        Options(scale=2, height=480)
    with pytest.raises(ValidationError, match="frozen"):
        Options().scale = 2  # type: ignore[misc]


def test_flags_are_unique() -> None:
    names = [part for name in Options.model_fields for part in flag_of(name).names.split("/")]
    assert len(names) == len(set(names))
    assert long_flag("tile_pad") == "--tile-pad"


@pytest.mark.parametrize("size", ["0x0", "0x64", "64x0", "64", "x64", "-1x64"])
def test_sizes_without_pixels_are_refused(size: str) -> None:
    with pytest.raises(UsageError, match="--size"):
        parse({"size": size})
