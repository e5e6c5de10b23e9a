"""The recipes that come with vidsr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainer import recipes
from trainer.config import load, parse
from trainer.yaml_text import parse_yaml
from vidsr.errors import ExistsError, UsageError

PAIRS = ("srvgg16-x2", "srvgg16-x4", "srvgg32-anime-video", "x4plus", "x4plus-anime-6b")


def resolved(name: str) -> dict[str, Any]:
    return parse(parse_yaml(recipes.text(name))).resolved()


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_is_right_short_and_told(name: str) -> None:
    assert parse(parse_yaml(recipes.text(name))).name
    assert len(recipes.text(name).splitlines()) <= 60
    assert 20 < len(recipes.description(name)) < 130


def test_every_network_has_both_stages_and_the_second_begins_with_the_first() -> None:
    for name in PAIRS:
        first, second = resolved(f"{name}-net"), resolved(f"{name}-gan")
        assert first["gan"] is None
        assert second["gan"] is not None
        assert second["net"]["start"] == f"runs/{name}-net"
        assert {k: v for k, v in first["net"].items() if k != "start"} == {
            k: v for k, v in second["net"].items() if k != "start"
        }
    assert {"fine-tune-paired", "fine-tune-show", "weak-denoise"} <= set(recipes.names())


def test_x4plus_net_has_every_constant_of_the_reference() -> None:
    """options/train_realesrnet_x4plus.yml"""
    run = resolved("x4plus-net")
    assert run["scale"] == 4
    assert {k: run["net"][k] for k in ("kind", "features", "blocks", "growth")} == {
        "kind": "rrdb", "features": 64, "blocks": 23, "growth": 32,
    }  # fmt: skip
    assert [(loss["kind"], loss["weight"], loss["on"]) for loss in run["losses"]] == [("l1", 1, "usm")]
    assert run["optim"] | {"eps": 0} == {
        "kind": "adam", "lr": 2e-4, "betas": [0.9, 0.99], "weight_decay": 0, "eps": 0,
    }  # fmt: skip
    assert run["schedule"] == {"kind": "multistep", "warmup": 0, "milestones": [1.0], "gamma": 0.5}
    assert run["ema"] == {"decay": 0.999, "warmup": False}
    loop = run["loop"]
    assert (loop["iterations"], loop["batch"], loop["workers"], loop["log_every"]) == (1_000_000, 12, 5, 100)
    assert (loop["precision"], loop["clip"], loop["accumulate"]) == ("fp32", None, 1)
    assert run["pair_pool"] == 180
    assert run["checkpoint"]["every"] == 5000
    (data,) = run["data"]
    assert (data["gt_size"], data["crop_pad"], data["hflip"], data["rotate"]) == (256, 400, True, False)
    assert run["sharpen"] == {"weight": 0.5, "radius": 50, "threshold": 10}


def test_x4plus_gan_has_every_constant_of_the_reference() -> None:
    """options/train_realesrgan_x4plus.yml"""
    run, first = resolved("x4plus-gan"), resolved("x4plus-net")
    pixel, perceptual = run["losses"]
    assert (pixel["kind"], pixel["weight"], pixel["on"]) == ("l1", 1, "usm")
    assert (perceptual["kind"], perceptual["weight"], perceptual["on"]) == ("perceptual", 1, "usm")
    assert perceptual["layers"] == {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1}
    assert (perceptual["trunk"], perceptual["criterion"], perceptual["style"]) == ("vgg19", "l1", 0)
    gan = run["gan"]
    assert gan["loss"] == {"kind": "vanilla", "weight": 0.1, "real": 1, "fake": 0}
    assert gan["discriminator"] == {"kind": "unet-sn", "features": 64, "skip": True, "weights": None}
    assert (gan["on"], gan["lr"], gan["warmup"], gan["ramp"]) == ("gt", None, 0, 0)
    assert run["optim"]["lr"] == 1e-4
    assert run["loop"]["iterations"] == 400_000
    same = ("scale", "degrade", "data", "pair_pool", "ema", "schedule", "checkpoint", "sharpen")
    assert {name: run[name] for name in same} == {name: first[name] for name in same}


def test_the_degradation_of_the_reference() -> None:
    """options/train_realesr{net,gan}_x4plus.yml, which have the same numbers; kernel sizes are 7 to 21 in its code."""
    chain = resolved("x4plus-net")["degrade"]
    kinds = {
        "iso": 0.45, "aniso": 0.25, "generalized_iso": 0.12, "generalized_aniso": 0.03, "plateau_iso": 0.12,
        "plateau_aniso": 0.03,
    }  # fmt: skip
    blur = {"kinds": kinds, "sizes": [7, 21], "beta_generalized": [0.5, 4], "beta_plateau": [1, 2], "sinc": 0.1}
    modes = {"area": 1, "bilinear": 1, "bicubic": 1}
    noise = {"probability": 1, "gaussian": 0.5, "gray": 0.4}
    jpeg = {"probability": 1, "quality": [30, 95]}
    assert chain["first"] == {
        "blur": blur | {"probability": 1, "sigma": [0.2, 3]},
        "resize": {"directions": {"up": 0.2, "down": 0.7, "keep": 0.1}, "factor": [0.15, 1.5], "modes": modes},
        "noise": noise | {"sigma": [1, 30], "poisson": [0.05, 3]},
        "jpeg": jpeg,
    }
    assert chain["second"] == {
        "blur": blur | {"probability": 0.8, "sigma": [0.2, 1.5]},
        "resize": {"directions": {"up": 0.3, "down": 0.4, "keep": 0.3}, "factor": [0.3, 1.2], "modes": modes},
        "noise": noise | {"sigma": [1, 25], "poisson": [0.05, 2.5]},
        "jpeg": jpeg,
    }
    rest = {name: value for name, value in chain.items() if name not in ("first", "second", "sharpen")}
    assert rest == {
        "kind": "classic", "draws": "batch", "gt_size": 256, "from_sharpened": True, "sinc": 0.8,
        "sinc_sizes": [7, 21], "modes": modes, "jpeg_last": 0.5,
    }  # fmt: skip


def test_only_the_blocks_of_the_anime_network_differ() -> None:
    for stage in ("net", "gan"):
        big, small = resolved(f"x4plus-{stage}"), resolved(f"x4plus-anime-6b-{stage}")
        different = {name for name in big if big[name] != small[name]}
        assert different == {"name", "net", "data"}
        assert small["net"]["blocks"] == 6


def test_a_recipe_is_copied_with_its_comments(tmp_path: Path) -> None:
    recipes.write("fine-tune-show", tmp_path / "show.yaml")
    assert (tmp_path / "show.yaml").read_text() == recipes.text("fine-tune-show")
    with pytest.raises(ExistsError, match=r"configuration .*show\.yaml exists"):
        recipes.write("fine-tune-show", tmp_path / "show.yaml")


def test_a_recipe_is_copied_with_changes(tmp_path: Path) -> None:
    recipes.write("fine-tune-show", tmp_path / "show.yaml", ["name=frieren", "data.0.paths=[a.mkv, b.mkv]"])
    made = load(tmp_path / "show.yaml")
    assert made.name == "frieren"
    assert [path.name for path in made.data[0].paths] == ["a.mkv", "b.mkv"]  # type: ignore[union-attr]
    assert (tmp_path / "show.yaml").read_text().startswith("# Fine-tune animevideov3 on one show")


def test_an_unknown_recipe_has_its_near_miss() -> None:
    with pytest.raises(UsageError, match="recipe 'x4plus-nat' is unknown, did you mean 'x4plus-net'") as caught:
        recipes.text("x4plus-nat")
    assert "srvgg16-x2-net" in caught.value.hint
