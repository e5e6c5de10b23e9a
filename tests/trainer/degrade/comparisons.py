"""trainer.degrade on the inputs of `cases`, and how far its results are from the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.trainer.degrade import cases
from trainer.degrade.canvas import Canvas
from trainer.degrade.classic import Degrader
from trainer.degrade.filters import Usm, filter2d
from trainer.degrade.jpeg import jpeg
from trainer.degrade.noise import gaussian, poisson
from trainer.degrade.options import Sharpen

Array = NDArray[Any]


def results() -> dict[str, Tensor]:
    """Every function on its case, under the names that the goldens have."""
    picture = cases.pictures(3, 24, 29)
    pair = Canvas.of(picture[:2])
    fields = [cases.FixedFields()] * 2
    qualities = torch.tensor(cases.QUALITIES)
    made = {f"kernel {name}": torch.from_numpy(cases.made(name)) for name in cases.KERNELS}
    return made | {
        "filter": filter2d(Canvas.of(picture), torch.from_numpy(cases.kernels(3))).pixels,
        "usm": Usm(Sharpen())(cases.pictures(1, 56, 60, 1)),
        "jpeg": jpeg(picture, qualities),
        "jpeg differentiable": jpeg(picture, qualities, differentiable=True),
        "gaussian": gaussian(pair, cases.NOISES, fields),
        "poisson": poisson(pair, cases.SHOTS, fields),
    }


def functions(goldens: dict[str, Array]) -> dict[str, float]:
    """Largest difference of every function from the reference; pixels are in [0, 1]."""
    return {name: float(np.abs(made.numpy() - goldens[name]).max()) for name, made in results().items()}


def chain(goldens: dict[str, Array], name: str) -> dict[str, float]:
    """A whole chain: the largest and the mean difference in codes, and what part of the samples is equal."""
    gt, keys, _ = cases.chain_input(name)
    degrader = Degrader(cases.chain_options(), cases.CHAINS[name][1], fields=cases.FixedFields)
    lq, crop = (np.rint(made.numpy() * 255).astype(int) for made in degrader.degrade(gt, keys))
    if not np.array_equal(crop[..., ::16, ::16], goldens[f"{name} gt"]):
        raise AssertionError(f"{name}: another crop")
    apart = np.abs(lq - goldens[name].astype(int))
    return {"largest": int(apart.max()), "mean": float(apart.mean()), "equal": float((apart == 0).mean())}
