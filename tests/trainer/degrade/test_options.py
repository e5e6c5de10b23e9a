from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from trainer.degrade.options import Blur, Classic, DegradeOptions, Paired, Resize
from trainer.degrade.video_options import VideoChain

ANY: TypeAdapter[Any] = TypeAdapter(DegradeOptions)


def test_the_defaults_are_the_reference_s_constants() -> None:
    classic = Classic()
    first, second = classic.first, classic.second
    assert list(first.blur.kinds.values()) == [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
    assert first.blur.kinds == second.blur.kinds
    assert (first.blur.sigma, second.blur.sigma) == ((0.2, 3), (0.2, 1.5))
    assert (first.blur.probability, second.blur.probability, first.blur.sinc, classic.sinc) == (1, 0.8, 0.1, 0.8)
    assert (list(first.resize.directions.values()), first.resize.factor) == ([0.2, 0.7, 0.1], (0.15, 1.5))
    assert (list(second.resize.directions.values()), second.resize.factor) == ([0.3, 0.4, 0.3], (0.3, 1.2))
    assert (first.noise.sigma, first.noise.poisson) == ((1, 30), (0.05, 3))
    assert (second.noise.sigma, second.noise.poisson) == ((1, 25), (0.05, 2.5))
    for stage in (first, second):
        assert (stage.noise.gray, stage.noise.gaussian, stage.jpeg.quality) == (0.4, 0.5, (30, 95))
    assert (classic.jpeg_last, classic.gt_size, classic.sharpen.radius) == (0.5, 256, 50)


def test_the_kind_tells_which_degradation_is_meant() -> None:
    assert isinstance(ANY.validate_python({"kind": "classic", "draws": "batch"}), Classic)
    assert isinstance(ANY.validate_python({"kind": "none"}), Paired)
    assert isinstance(ANY.validate_python({"kind": "video", "style": "web"}), VideoChain)
    with pytest.raises(ValidationError, match="classik"):
        ANY.validate_python({"kind": "classik"})


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"first": {"blur": {"sizes": (7, 20)}}}, "two odd numbers"),
        ({"first": {"blur": {"sigma": (3, 0.2)}}}, "lowest, highest"),
        ({"first": {"blur": {"kinds": {"round": 1}}}}, "iso"),
        ({"first": {"blur": {"kinds": {"iso": 0}}}}, "at least one above 0"),
        ({"first": {"blur": {"beta_plateau": (1.5, 2)}}}, "at most 1"),
        ({"second": {"resize": {"factor": (0, 1.2)}}}, "from above 0"),
        ({"second": {"jpeg": {"quality": (0, 50)}}}, "between 1 and 100"),
        ({"second": {"noise": {"gray": 1.2}}}, "less than or equal to 1"),
        ({"jpeg_lasst": 0.5}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(part: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Classic(**part)


def test_options_survive_json() -> None:
    classic = Classic(first={"blur": Blur(sinc=0.5), "resize": Resize(factor=(0.5, 1.0))})  # type: ignore[arg-type]
    assert ANY.validate_json(classic.model_dump_json()) == classic


def test_options_load_without_torch() -> None:
    code = "import sys; import trainer.degrade.options; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
