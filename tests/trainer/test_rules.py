"""What parts of a configuration ask of each other: each contradiction is told before a file is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trainer import fakes
from vidsr.errors import UsageError


def gan(**discriminator: Any) -> dict[str, Any]:
    return {"gan": {"discriminator": {"kind": "patch-sn", "features": 2} | discriminator}}


def loss(kind: str, **words: Any) -> dict[str, Any]:
    return {"losses": [{"kind": "l1"}, {"kind": kind} | words]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "animevideov3", "export": {}}, "name: animevideov3 is the name of a built-in model"),
        ({"name": "realesr-AnimeVideov3", "export": {}}, "name: realesr-AnimeVideov3 is the name of a built-in model"),
        ({"export": {"name": "x4plus"}}, "export.name: x4plus is the name of a built-in model"),
        (gan(), "gan.discriminator.layers: number 0 sees 16 pixels of crops of 16, its 3 layers need 24"),
        (gan(layers=[2, 2]), "gan.discriminator.layers: number 1 sees 8 pixels of crops of 16, its 2 layers need 12"),
        (loss("focal-frequency", patches=3), "losses.1.patches: 3 does not divide the gt_size of data, 16"),
        (loss("ssim", window=17), "losses.1: ssim needs a gt_size of 17 or more, data has 16"),
        (loss("ms-ssim", window=5, scales=3), "losses.1: ms-ssim needs a gt_size of 20 or more, data has 16"),
        (loss("anime"), "losses.1: anime needs a gt_size of 32 or more, data has 16"),
        (loss("lpips"), "losses.1: lpips needs a gt_size of 32 or more, data has 16"),
        (loss("consistency", sigma=2.5), "losses.1: consistency needs a gt_size of 18 or more, data has 16"),
    ],
)
def test_a_contradiction_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        fakes.config(tmp_path, **changes)
    assert told in str(caught.value)


@pytest.mark.parametrize("kind", ["perceptual", "dists"])
def test_networks_need_crops_that_their_poolings_leave_something_of(tmp_path: Path, kind: str) -> None:
    sets = [{"kind": "pictures", "roots": [str(fakes.pictures(tmp_path))], "gt_size": 14}]
    with pytest.raises(UsageError, match=f"losses.1: {kind} needs a gt_size of 16 or more, data has 14"):
        fakes.config(tmp_path, data=sets, **loss(kind))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "animevideov3"},  # nothing is exported
        {"name": "animevideov3", "export": {"name": "mine"}},
        gan(layers=[2]),
        gan(layers=[2, 2], downscale=False),
        loss("focal-frequency", patches=4),
        loss("ssim", window=15),
        loss("consistency", sigma=2.3),
        loss("perceptual"),
    ],
)
def test_what_fits_just_so_is_taken(tmp_path: Path, changes: dict[str, Any]) -> None:
    fakes.config(tmp_path, **changes)


def test_one_sharpening_is_that_of_both(tmp_path: Path) -> None:
    classic, mild = {"kind": "classic", "gt_size": fakes.GT}, {"weight": 0.3}
    above = fakes.config(tmp_path, degrade=classic, sharpen=mild)
    below = fakes.config(tmp_path, degrade=classic | {"sharpen": mild})
    assert above == below
    assert above.sharpen.weight == 0.3
    assert above.degrade.sharpen == above.sharpen  # type: ignore[union-attr]
    both = fakes.config(tmp_path, degrade=classic | {"sharpen": {"weight": 0.2}}, sharpen=mild)
    assert (both.sharpen.weight, both.degrade.sharpen.weight) == (0.3, 0.2)  # type: ignore[union-attr]
