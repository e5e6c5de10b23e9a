"""Architectures of others, by spandrel where it can be imported; and what is said where it cannot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runtime.tiny import CPU
from vidsr.errors import UsageError, WeightsError
from vidsr.models import load
from vidsr.models.archs.compact import SRVGGNetCompact
from vidsr.models.community import Community, why_absent
from vidsr.models.convert import SUFFIXES, compare, export_model
from vidsr.models.find import Found
from vidsr.models.load import describe, load_model
from vidsr.models.recover import normalise
from vidsr.runtime.eager import Eager
from vidsr.runtime.quiet import quiet

ABSENT = why_absent()
needs_spandrel = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))

STRANGE = {"params": {f"layer.{index}.weight": torch.zeros(3, 3) for index in range(9)}}


def networks() -> dict[str, Any]:
    """Name: how it is made, scale, size rule, half precision, whether tiles are as good."""
    from spandrel.architectures.ESRGAN import ESRGAN
    from spandrel.architectures.NAFNet import NAFNet
    from spandrel.architectures.PLKSR import RealPLKSR
    from spandrel.architectures.SPAN import SPAN
    from spandrel.architectures.SwinIR import SwinIR

    window: dict[str, Any] = {"img_size": 64, "window_size": 8, "depths": [2], "embed_dim": 12, "num_heads": [2]}
    return {
        "SwinIR": (SwinIR(upscale=2, mlp_ratio=2, upsampler="pixelshuffledirect", **window), 2, 16, False, False),
        "SPAN": (SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=4), 4, 1, True, True),
        "RealPLKSR": (RealPLKSR(dim=16, n_blocks=2, upscaling_factor=2), 2, 1, False, True),
        "ESRGAN+": (ESRGAN(num_filters=8, num_blocks=2, scale=4, plus=True), 4, 2, True, True),
        "NAFNet": (NAFNet(width=8, enc_blk_nums=[1, 1], middle_blk_num=1, dec_blk_nums=[1, 1]), 1, 1, False, True),
    }


@needs_spandrel
@pytest.mark.parametrize("name", ["SwinIR", "SPAN", "RealPLKSR", "ESRGAN+", "NAFNet"])
def test_networks_of_others_load_and_what_spandrel_says_is_obeyed(tmp_path: Path, name: str) -> None:
    with quiet():
        torch.manual_seed(1)
        network, scale, least, half, tiles = networks()[name]
    path = tmp_path / "net.pth"
    torch.save({"params": network.state_dict()}, path)
    found = load_model(str(path))
    assert isinstance(found.network, Community)
    assert found.arch.endswith(", by spandrel")
    assert (found.scale, found.tiles) == (scale, tiles)
    assert found.minimum == least
    assert found.dtypes == ({"fp32", "fp16"} if half else {"fp32"})
    rgb = torch.rand(1, 3, 2 * least + 16, 3 * least + 16)
    with torch.inference_mode():
        expected = network.eval()(rgb)
    assert torch.allclose(Eager(found, CPU, "fp32")(rgb), expected, atol=1e-3)


@needs_spandrel
@pytest.mark.parametrize("form", ["safetensors", "torch-export"])
def test_networks_of_others_are_exported_and_come_back(tmp_path: Path, form: Any) -> None:
    with quiet():
        torch.manual_seed(1)
        torch.save({"params": networks()["ESRGAN+"][0].state_dict()}, tmp_path / "net.pth")
    network = load_model(str(tmp_path / "net.pth"))
    done = export_model(network, form, tmp_path / f"out{SUFFIXES[form]}")
    assert done.decibels > 90
    assert compare(network, load_model(str(done.files[0])).network)[0] > 90


@needs_spandrel
def test_what_cannot_be_exported_is_told(tmp_path: Path) -> None:
    with quiet():
        torch.save({"params": networks()["SPAN"][0].state_dict()}, tmp_path / "net.pth")
    with pytest.raises(UsageError, match="model net cannot be exported to torch-export: "):
        export_model(load_model(str(tmp_path / "net.pth")), "torch-export", tmp_path / "out.pt2")
    assert not (tmp_path / "out.pt2").exists()


@needs_spandrel
def test_values_that_are_not_finite_are_refused_there_too() -> None:
    with quiet():
        state = networks()["SPAN"][0].state_dict()
    next(iter(state.values())).fill_(torch.nan)
    with pytest.raises(WeightsError, match="not finite"):
        describe(Found("net", normalise({"params": state}), "0" * 64, "unknown", "here"))


@needs_spandrel
def test_what_nobody_knows_is_told_by_both(tmp_path: Path) -> None:
    torch.save(STRANGE, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"layer\.4\.weight and 4 more; the weights fit no network that spandrel"):
        load_model(str(tmp_path / "net.pth"))


@pytest.mark.skipif(ABSENT is None, reason="spandrel is installed")
def test_without_spandrel_the_extra_is_named(tmp_path: Path) -> None:
    torch.save(STRANGE, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"first keys are layer\.0\.weight, .*layer\.4\.weight and 4 more") as caught:
        load_model(str(tmp_path / "net.pth"))
    assert caught.value.hint.startswith("pip install 'vidsr-upscaler[community]' for other architectures; ")


@pytest.mark.parametrize("error", [RuntimeError("operator torchvision::nms does not exist"), ImportError("no _C")])
def test_a_spandrel_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:

    class Finder:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "spandrel":
                raise error

    for name in [name for name in sys.modules if name.partition(".")[0] == "spandrel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert why_absent() == f"spandrel cannot start: {error}"


def test_networks_of_ours_never_ask_spandrel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "why_absent", lambda: pytest.fail("spandrel was asked"))
    found = Found("net", dict(SRVGGNetCompact(4, 1, 2).state_dict()), "0" * 64, "unknown", "here")
    assert describe(found).scale == 2


def squares() -> Community:
    """What spandrel would say of a network that takes squares of whole multiples of 4 only."""

    class Shape:
        minimum, multiple_of, square = 8, 4, True

    class Said:
        model, scale, size_requirements, supports_half, tags = torch.nn.Conv2d(3, 3, 1), 1, Shape, False, ["small"]
        architecture = type("Arch", (), {"name": "Square"})
        tiling = type("Tiling", (), {"name": "INTERNAL"})

        @staticmethod
        def _call_fn(model: torch.nn.Module, rgb: torch.Tensor) -> torch.Tensor:
            assert rgb.shape[2] == rgb.shape[3]
            return rgb * 2

    return Community(Said)


@pytest.mark.parametrize("size", [(8, 8), (8, 12), (24, 8), (8, 64)])
def test_networks_that_want_squares_get_them(size: tuple[int, int]) -> None:
    rgb = torch.rand(1, 3, *size)
    assert torch.equal(squares()(rgb), rgb * 2)
    assert (squares().minimum, squares().tiles) == (8, False)
