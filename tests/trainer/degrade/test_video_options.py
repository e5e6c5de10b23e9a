"""Chains of steps are checked to the last value, and the named styles are such chains."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from trainer.degrade.video_options import Style, VideoChain
from trainer.degrade.video_styles import STYLES


def test_every_style_has_a_chain_and_every_chain_a_style() -> None:
    assert set(get_args(Style)) == set(STYLES)


@pytest.mark.parametrize("style", STYLES)
def test_a_style_becomes_its_steps_and_what_is_saved_reads_back(style: Any) -> None:
    chain = VideoChain(style=style)
    assert chain.style is None
    assert VideoChain.model_validate_json(chain.model_dump_json()) == chain
    assert [step.kind for step in chain.steps].count("shrink") + [step.kind for step in chain.steps].count("shuffle")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "needs either style or steps"),
        ({"style": "web", "steps": [{"kind": "shrink"}]}, "exclude each other"),
        ({"style": "wild"}, "'mild', 'broadcast', 'web' or 'strong'"),
        ({"steps": [{"kind": "blur"}]}, "it holds 0"),
        ({"steps": [{"kind": "shrink"}, {"kind": "shrink"}]}, "it holds 2"),
        ({"steps": [{"kind": "shrink", "probability": 0.5}]}, "probability 1"),
        ({"steps": [{"kind": "one_of", "steps": [{"kind": "shrink"}]}]}, "in a shuffle"),
        ({"steps": [{"kind": "shrink"}, {"kind": "resize"}]}, "no resize after shrink"),
        ({"steps": [{"kind": "shuffle", "steps": [{"kind": "resize"}, {"kind": "shrink"}]}]}, "no resize after"),
        ({"steps": [{"kind": "shrink"}, {"kind": "one_of", "steps": [{"kind": "halo", "probability": 0}]}]}, "above 0"),
        ({"steps": [{"kind": "shrink", "filter": "area"}]}, "Extra inputs are not permitted"),
        ({"steps": [{"kind": "shrink", "filters": {"cubic": 1}}]}, "'nearest', 'area', 'bilinear'"),
        ({"steps": [{"kind": "shrink", "filters": {"area": 0}}]}, "at least one above 0"),
        ({"steps": [{"kind": "blur", "sigma": [3, 1]}, {"kind": "shrink"}]}, "3 is above 1"),
        ({"steps": [{"kind": "codec", "h264": {"quality": [20, 60]}}, {"kind": "shrink"}]}, "between 0 and 51"),
        (
            {"steps": [{"kind": "shrink"}, {"kind": "codec"} | dict.fromkeys(
                ("mpeg2", "mpeg4", "h264", "hevc", "vp9", "av1"))]},
            "at least one coder",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        VideoChain(**given)


def test_options_load_without_torch() -> None:
    code = "import sys, trainer.degrade.video_options as v; v.VideoChain(style='web'); print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
