"""The list of weights: its names are unambiguous, and a refused entry leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from vidsr import presets
from vidsr.errors import UsageError
from vidsr.models.builtin import builtin, read_registry
from vidsr.models.registry import Registry, Weights


def entry(name: str, *aliases: str) -> Weights:
    return Weights(
        name=name, aliases=aliases, architecture="a", scale=4, purpose="p", licence="l", url=f"https://h/{name}.pth"
    )


@pytest.mark.parametrize("clash", [entry("a"), entry("b"), entry("n", "A"), entry("n", "b"), entry("n", "m", "M")])
def test_a_clash_changes_nothing(clash: Weights) -> None:
    registry = Registry([entry("a", "B")])
    with pytest.raises(ValueError, match="is taken by"):
        registry.add(clash)
    assert [item.name for item in registry] == ["a"]
    assert registry.find("n") is None
    assert registry.find("m") is None


def test_the_reference_s_names_are_known() -> None:
    names = {
        "realesr-animevideov3": "animevideov3",
        "RealESRGAN_x4plus": "x4plus",
        "RealESRGAN_x4plus_anime_6B": "x4plus-anime",
        "RealESRGAN_x2plus": "x2plus",
        "RealESRNet_x4plus": "net-x4plus",
        "realesr-general-x4v3": "general-x4v3",
        "realesr-general-wdn-x4v3": "general-wdn-x4v3",
        "RealESRGANv2-animevideo-xsx2": "animevideo-v2-x2",
        "RealESRGANv2-animevideo-xsx4": "animevideo-v2-x4",
    }
    assert {alias: builtin().get(alias).name for alias in names} == names
    assert builtin().get("general-x4v3").partner == "general-wdn-x4v3"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'animevideov3'"):
        builtin().get("animevideo3")


def test_the_list_lies_in_the_folder_of_presets() -> None:
    assert (presets.folder() / "weights.yaml").is_file()


@pytest.mark.parametrize(
    "line", ["sha256: short", "unknown_key: 1", "url: http://insecure/x.pth", "bytes: 0", "partner: nobody"]
)
def test_a_wrong_entry_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "weights.yaml"
    key = line.partition(":")[0]
    fields = {"architecture": "a", "scale": "4", "purpose": "p", "licence": "l", "url": "https://h/x.pth"}
    body = [f"  {name}: {value}" for name, value in fields.items() if name != key] + [f"  {line}"]
    path.write_text("\n".join(["x:", *body]), encoding="utf-8")
    with pytest.raises((ValidationError, ValueError), match=key if key != "partner" else "nobody"):
        read_registry(path)
