"""The part of `benchmarks.gpu_suite` that knows the kernels: each alone beside its eager twin, incremental runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
from torch import Tensor

from vidsr.events import ignore
from vidsr.frames import ColorTags, PixelLayout
from vidsr.runtime import ceilings
from vidsr.runtime.device import DTYPES

from .common import clocked
from .gpu_steps import Item, Setting, attempt

LAYOUT, COLOR = PixelLayout("yuv", 8, 1, 1), ColorTags(1, False, siting="left")
SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Parts of the picture that change."""


def kernels(setting: Setting) -> Iterator[Item]:
    """Each kernel alone: its time, its rate, and how far its result is from that of its twin; then all in a row."""
    from vidsr.runtime.kernels import tune

    sizes = [(16, 16)] if setting.dry else [*setting.sizes.values()]
    for precision in ("fp16",) if setting.dry else ("fp16", "bf16"):  # Triton's interpreter cannot multiply bf16
        for height, width in sizes:
            size = f"{precision} {width}x{height}"
            yield f"planes to planes {size}", attempt(planes_to_planes, setting, precision, height, width)
            for config in tune.candidates(setting.device, 64)[: 1 if setting.dry else None]:
                shape = f"{config.kernel} {config.rows}x{config.group}, {config.warps} warps"
                yield f"conv {size} {shape}", attempt(convolution, setting, precision, height, width, config)
            yield f"first {size}", attempt(first_layer, setting, precision, height, width)
            yield f"to planes {size}", attempt(last_layer, setting, precision, height, width)
    for height, width in sizes:
        yield f"to rgb {width}x{height}", attempt(to_rgb, setting, height, width)
        yield f"changes {width}x{height}", attempt(changes, setting, height, width)


def planes_to_planes(setting: Setting, precision: str, height: int, width: int) -> dict[str, Any]:
    """The whole of SRVGG-16 and both colour conversions, as the pipeline calls it, with nothing reused."""
    from vidsr.runtime.fused import Fused

    network = setting.network("SRVGG-16")
    made = Fused(network, setting.device, precision)
    made.bind(LAYOUT, COLOR, LAYOUT, COLOR, dither=False)
    planes = _planes(setting, height, width)
    found = timed(setting, lambda: made.planes(planes, reuse=False))
    tflops = network.flops_per_pixel * height * width / found["seconds"] / 1e12
    return {**found, "fps": 1 / found["seconds"], "tflops": tflops}


def _planes(setting: Setting, height: int, width: int) -> tuple[Tensor, ...]:
    """Y U V codes on the device."""
    return tuple(
        torch.randint(16, 236, size, dtype=torch.uint8, device=setting.device)
        for size in LAYOUT.plane_sizes(width, height)
    )


def to_rgb(setting: Setting, height: int, width: int) -> dict[str, Any]:
    """Planes to RGB, and which of it differs from what was there before."""
    from vidsr.runtime.kernels import coding, first, places

    planes, code = _planes(setting, height, width), coding.source(LAYOUT, COLOR, setting.device)
    tiles = places.across(width) * places.down(height)
    out, twin = (torch.zeros(3, height, width, device=setting.device) for _ in range(2))
    sides = torch.zeros(tiles, first.SIDES, dtype=torch.int32, device=setting.device)
    found = timed(setting, lambda: first.to_rgb(planes, code, out, sides))
    first.to_rgb_eager(planes, code, twin, sides.clone())
    moved = sum(plane.numel() for plane in planes) + 2 * out.numel() * 4  # it reads what it replaces
    return {**found, "gb_s": moved / found["seconds"] / 1e9, "worst": _apart(out, twin)}


def last_layer(setting: Setting, precision: str, height: int, width: int) -> dict[str, Any]:
    """The last feature map to planes four times as large: shuffle, addition, matrix, filter and rounding."""
    from vidsr.runtime.kernels import coding, last, places

    device, dtype = setting.device, DTYPES[precision]
    detail = places.feature_map(height, width, 48, dtype, device)
    detail[1 : height + 1, 1 : width + 1] = 0.1 * torch.randn(height, width, 48, device=device).to(dtype)
    rgb, code = setting.frames(1, height, width)[0].contiguous(), coding.target(LAYOUT, COLOR, device, dither=False)
    out, twin = (_planes(setting, 4 * height, 4 * width) for _ in range(2))
    bad, tiles = torch.zeros(1, dtype=torch.int32, device=device), places.whole(height, width, places.TILE, device)
    between = torch.zeros(2, 4 * height, 4 * width, device=device)
    found = timed(setting, lambda: last.to_planes(detail, rgb, between, out, code, bad, tiles, tiles, 4))
    last.to_planes_eager(detail, rgb, torch.zeros_like(between), twin, code, bad, tiles, tiles, 4)
    moved = height * width * (48 * dtype.itemsize + 12) + sum(plane.numel() for plane in out) + 2 * between.nbytes
    return {**found, "gb_s": moved / found["seconds"] / 1e9, "worst": max(map(_apart, out, twin))}


def convolution(setting: Setting, precision: str, height: int, width: int, config: Any) -> dict[str, Any]:
    """64 to 64 channels with bias and PReLU."""
    from vidsr.runtime.kernels import conv, places

    device, dtype = setting.device, DTYPES[precision]
    layer = conv.pack(0.05 * torch.randn(64, 64, 3, 3, device=device), torch.randn(64, device=device), 0.2, dtype)
    x, out, twin = (places.feature_map(height, width, 64, dtype, device) for _ in range(3))
    x[1 : height + 1, 1 : width + 1] = torch.rand(height, width, 64, device=device).to(dtype)
    segments = places.whole(height, width, config.segment_rows, device)
    found = timed(setting, lambda: conv.conv(x, layer, out, segments, height, width, config))
    conv.conv_eager(x, layer, twin, segments, height, width)
    flops = ceilings.convolution_flops((1, height, width))
    return {**found, "tflops": flops / found["seconds"] / 1e12, "worst": _apart(out, twin)}


def first_layer(setting: Setting, precision: str, height: int, width: int) -> dict[str, Any]:
    """RGB in float32 to 64 channels."""
    from vidsr.runtime.kernels import first, places

    device, dtype = setting.device, DTYPES[precision]
    weight, bias = torch.randn(64, 3, 3, 3, device=device), torch.randn(64, device=device)
    layer = first.pack_first(weight, bias, 0.2, dtype)
    rgb = setting.frames(1, height, width)[0].contiguous()
    out, twin = (places.feature_map(height, width, 64, dtype, device) for _ in range(2))
    segments = places.whole(height, width, places.TILE, device)
    found = timed(setting, lambda: first.first(rgb, layer, out, segments, height, width))
    first.first_eager(rgb, layer, twin, segments, height, width)
    moved = rgb.numel() * 4 + height * width * 64 * dtype.itemsize
    return {**found, "gb_s": moved / found["seconds"] / 1e9, "worst": _apart(out, twin)}


def changes(setting: Setting, height: int, width: int) -> dict[str, Any]:
    """Distances of all tiles from what changed, from a tenth of the tiles."""
    from vidsr.runtime.kernels import changes as found_on_device
    from vidsr.runtime.kernels import first, places

    across = places.across(width)
    tiles = across * places.down(height)
    some = torch.rand(tiles, 1, device=setting.device) < 0.1
    near = torch.randint(1, places.TILE + 1, (tiles, first.SIDES), dtype=torch.int32, device=setting.device)
    sides = torch.where(some, near, torch.full_like(near, first.FAR)).contiguous()
    out, twin = (torch.empty(tiles, dtype=torch.int32, device=setting.device) for _ in range(2))
    found = timed(setting, lambda: found_on_device.distances(sides, out, across, 18))
    found_on_device.distances_eager(sides, twin, across, 18)
    return {**found, "worst": int((out - twin).abs().max())}


def timed(setting: Setting, work: Callable[[], object]) -> dict[str, float]:
    if setting.dry:  # Triton's interpreter takes seconds for a call
        return {"seconds": clocked(work)()}
    return {"seconds": median(ceilings.samples(work, setting.device, setting.seconds))}


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).abs().max())


def incremental(setting: Setting) -> Iterator[Item]:
    """Frames of which a part changes, in one square and in many small ones: seconds against a whole frame, by part."""
    network = setting.network("SRVGG-16")
    for name, (height, width) in setting.sizes.items():
        rgb = setting.frames(1, height, width)
        for form in ("one square", "scattered"):
            made = attempt(engine, setting, network)
            if "engine" not in made:
                yield f"{name} {form}", made
                break
            for share in (0.0, 0.25) if setting.dry else SHARES:
                label = f"{name} {form} {share:g}"
                yield label, attempt(changed_share, setting, made["engine"], rgb, share, form)


def engine(setting: Setting, network: Any) -> dict[str, Any]:
    """What runs incrementally on this device, with `update` and `share`."""
    if setting.device.type == "cuda":
        from vidsr.runtime.choose import make_runtime

        return {"engine": make_runtime("fused", network, setting.device, setting.precisions[0], ignore)}
    from vidsr.runtime.incremental import Incremental
    from vidsr.runtime.layered import Layered

    return {"engine": Incremental(Layered(network, setting.device, setting.precisions[0]))}


def changed_share(setting: Setting, made: Any, rgb: Tensor, share: float, form: str) -> dict[str, Any]:
    """Seconds of one update when `share` of the picture changes from frame to frame, and the part of the work done."""
    frames = [rgb, torch.where(_mask(rgb.shape[-2:], share, form).to(rgb.device), 1 - rgb, rgb)]
    turn = 0

    def work() -> None:
        nonlocal turn
        turn += 1
        made.update(frames[turn % 2])

    work()
    found = timed(setting, work)
    return {**found, "fps": 1 / found["seconds"], "work_share": float(made.share)}


def _mask(size: Any, share: float, form: str) -> Tensor:
    """H W bool, `share` of it true: a square in the middle, or tiles of 8 pixels here and there."""
    height, width = size
    mask = torch.zeros(height, width, dtype=torch.bool)
    if form == "one square":
        h, w = round(height * share**0.5), round(width * share**0.5)
        top, left = (height - h) // 2, (width - w) // 2
        mask[top : top + h, left : left + w] = True
        return mask
    cells = torch.rand(-(-height // 8), -(-width // 8), generator=torch.Generator().manual_seed(2)) < share
    return cells.repeat_interleave(8, 0).repeat_interleave(8, 1)[:height, :width]
