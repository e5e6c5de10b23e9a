"""The classic chain step by step on one picture, for a picture sheet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..sample import Key
from .canvas import Canvas, full_precision
from .classic import Degrader, StepName
from .draws import Draw, StageDraw, draw_all
from .filters import Usm
from .kernels import Kernel
from .noise import NoiseDraw
from .options import Classic
from .sheet import Panel, Picture

Parameters = dict[str, Any]


def classic_panels(options: Classic, scale: int, picture: Picture, key: Key) -> list[Panel]:
    """What each step made of `picture` (H W 3 uint8 RGB, sides multiples of `scale`) with the draw of `key`.

    Steps that this draw leaves out are left out here too.
    """
    draw = draw_all(options, [key])[0]
    source = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    with full_precision(source.device):
        canvas = Canvas.of(Usm(options.sharpen)(source) if options.from_sharpened else source)
        panels = [Panel("sharpen", picture, _shown(canvas.pixels), _sharpen(options))]
        for name, step in Degrader(options, scale).steps([draw], 1, picture.shape[:2]).items():
            before, canvas = canvas, step(canvas)
            if canvas is not before:
                panels.append(Panel(name, _shown(before.pixels), _shown(canvas.pixels), PARAMETERS[name](draw)))
    return panels if options.from_sharpened else panels[1:]


def _shown(pixels: Tensor) -> Picture:
    codes = (pixels[0] * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(codes.permute(1, 2, 0).numpy())


def _sharpen(options: Classic) -> Parameters:
    return {name: getattr(options.sharpen, name) for name in ("weight", "radius", "threshold")}


def _blur(kernel: Kernel | None) -> Parameters:
    """Taps per side, standard deviation across and down, and whether it has taps below zero."""
    assert kernel is not None
    places = np.arange(len(kernel)) - len(kernel) // 2
    spread = [float(np.sqrt(abs((kernel.sum(axis) * places**2).sum()))) for axis in (0, 1)]
    return {"taps": len(kernel), "spread": tuple(spread), "rings": bool(kernel.min() < 0)}


def _resize(stage: StageDraw) -> Parameters:
    return {"factor": stage.factor, "filter": stage.mode}


def _noise(noise: NoiseDraw | None) -> Parameters:
    assert noise is not None
    return {"kind": noise.kind, "level": noise.level, "gray": noise.gray}


PARAMETERS: dict[StepName, Callable[[Draw], Parameters]] = {
    "first blur": lambda draw: _blur(draw.first.kernel),
    "first resize": lambda draw: _resize(draw.first),
    "first noise": lambda draw: _noise(draw.first.noise),
    "first JPEG": lambda draw: {"quality": draw.first.quality},
    "second blur": lambda draw: _blur(draw.second.kernel),
    "second resize": lambda draw: _resize(draw.second),
    "second noise": lambda draw: _noise(draw.second.noise),
    "early JPEG": lambda draw: {"quality": draw.second.quality},
    "final resize": lambda draw: {"filter": draw.mode},
    "sinc filter": lambda draw: _blur(draw.sinc),
    "late JPEG": lambda draw: {"quality": draw.second.quality},
}
"""What is said of each step."""
