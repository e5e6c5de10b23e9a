"""The public names: nothing more, nothing less."""

from __future__ import annotations

import inspect

import pytest

import vidsr
from vidsr import errors


def test_all_is_what_is_visible() -> None:
    assert dir(vidsr) == sorted(vidsr.__all__)
    assert set(vidsr.__all__) == {"upscale", "upscale_all", "Upscaler", "Options", "Report", "__version__"} | {
        name for name, kind in vars(errors).items() if inspect.isclass(kind) and kind.__module__ == errors.__name__
    }


def test_every_public_name_is_there_and_documented() -> None:
    for name in vidsr.__all__:
        assert getattr(vidsr, name).__doc__, name


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'upscalr'"):
        vidsr.upscalr  # noqa: B018
