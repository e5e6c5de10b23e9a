"""The reference's upsampler of pictures, step by step as it does them, on the stages of vidsr."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import UsageError
from ..events import Emit, Event, FellBack, Notice
from ..frames import Batch, Box, Tile
from ..runtime.device import pick_device
from ..runtime.eager import Eager
from ..runtime.engine import Engine
from ..stages.infer import Inference
from .networks import Weights, network_of

Mode = Literal["L", "RGB", "RGBA"]
Floats = NDArray[np.float32]

_log = logging.getLogger("vidsr.compat")


def log(event: Event) -> None:
    """An Emit that gives warnings, and what had to be done otherwise than asked, to the logger `vidsr.compat`."""
    if isinstance(event, FellBack):
        _log.warning("%s in place of %s: %s", event.used, event.wanted, event.reason)
    elif isinstance(event, Notice):
        _log.log(logging.WARNING if event.level == "warning" else logging.DEBUG, "%s", event.text)


class RealESRGANer:
    """The reference's upsampler of pictures.

    `scale` is that of the network. `model_path` is a weights file, the name of a built-in network, the address of an
    official file, or two of these to be mixed as `dni_weight` says. `model` is not needed: the network is recognised
    by its weights; a module that is given takes the weights and is what runs. `tile` is the side of tiles in input
    pixels, 0 for none; `tile_pad` pixels around each are seen, and `pre_pad` mirrored ones are put right and below.
    `half` computes in float16 on a GPU. `device` is a name or a torch.device; without it, it is GPU `gpu_id`, or the
    CPU where there is none. `emit` gets what else there is to say.

    Raises UsageError for arguments that do not fit each other, WeightsError for weights that are missing or refused,
    DeviceError for a device that is absent.
    """

    def __init__(
        self,
        scale: int,
        model_path: Weights | Sequence[Weights],
        dni_weight: Sequence[float] | None = None,
        model: nn.Module | None = None,
        tile: int = 0,
        tile_pad: int = 10,
        pre_pad: int = 10,
        half: bool = False,
        device: str | torch.device | None = None,
        gpu_id: int | None = None,
        *,
        emit: Emit = log,
    ) -> None:
        self.scale = scale
        self.tile_size, self.tile_pad, self.pre_pad = tile, tile_pad, pre_pad
        """These may be changed at any time."""
        self.device = device_of(device, gpu_id)
        network = network_of(scale, model_path, dni_weight, model, emit)
        self.half = half and self.device.type != "cpu" and "fp16" in network.dtypes
        """Whether float16 is used."""
        if half and not self.half:
            emit(FellBack("float16", "float32", f"{network.name} cannot do it on {self.device}"))
        runner = Eager(network, self.device, "fp16" if self.half else "fp32")
        self.model = runner.network
        """The network on its device. It is for looking at: what replaces it is not used."""
        self._inference = Inference(network, self._engine(), runner, reference_tiles, emit)

    @property
    def mod_scale(self) -> int | None:
        """Both sides of a picture are brought to a multiple of this, None for any."""
        return {2: 2, 1: 4}.get(self.scale)

    def enhance(
        self, img: NDArray[Any], outscale: float | None = None, alpha_upsampler: str = "realesrgan"
    ) -> tuple[NDArray[Any], Mode]:
        """A picture `outscale` times larger (`scale` times when None), and what it is: L, RGB or RGBA.

        `img` is H W, H W 3 in the order BGR or H W 4 in the order BGRA; uint8 and uint16 are full range and keep their
        type. Arrays of other types hold values of 8 bits, or of 16 bits if any is above 256, and become uint8 or
        uint16. Alpha goes through the network where `alpha_upsampler` is "realesrgan"; any other word is bilinear.

        Raises UsageError for arrays that are no picture, DeviceError when the device fails or has no memory for the
        smallest tiles.
        """
        mode = mode_of(img)
        size = _final_size(img, self.scale if outscale is None else outscale)
        peak = peak_of(img)
        values: Floats = img.astype(np.float32) / np.float32(peak)
        large = self._gray(values.reshape(img.shape[:2])) if mode == "L" else self._colours(values[..., :3])
        if mode == "RGBA":
            large = np.dstack([large, self._alpha(values[..., 3], alpha_upsampler)])
        codes: NDArray[Any] = (large * np.float32(peak)).round().astype(np.uint8 if peak == 255 else np.uint16)
        if outscale is not None and outscale != self.scale:  # from finished codes and without antialiasing
            codes = cv2.resize(codes, size, interpolation=cv2.INTER_LANCZOS4)
        return codes, mode

    def _alpha(self, alpha: Floats, upsampler: str) -> Floats:
        """H W to sH sW."""
        if upsampler == "realesrgan":
            return self._gray(alpha)
        size = (alpha.shape[1] * self.scale, alpha.shape[0] * self.scale)
        return cast(Floats, cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR))

    def _gray(self, values: Floats) -> Floats:
        """H W to sH sW: as a colour picture, of which the luma is taken."""
        large = self._colours(np.repeat(values[..., None], 3, axis=2))
        return cast(Floats, cv2.cvtColor(large, cv2.COLOR_BGR2GRAY))

    def _colours(self, bgr: Floats) -> Floats:
        """H W 3 float32 in [0, 1] to sH sW 3, by the network, which has RGB."""
        height, width = (length * self.scale for length in bgr.shape[:2])
        planes = self._padded(bgr)[..., ::-1].transpose(2, 0, 1)
        rgb = torch.from_numpy(np.ascontiguousarray(planes))[None].to(self.device)
        large = self._through(rgb)[0, :, :height, :width].float().clamp(0, 1)
        return np.ascontiguousarray(large.cpu().numpy().transpose(1, 2, 0)[..., ::-1])

    def _padded(self, bgr: Floats) -> Floats:
        """Mirrored right and below by `pre_pad`, then up to the size rule. NumPy mirrors as often as it takes."""
        rule = self.mod_scale or 1
        bgr = np.pad(bgr, ((0, self.pre_pad), (0, self.pre_pad), (0, 0)), mode="reflect")
        down, right = (-length % rule for length in bgr.shape[:2])
        return np.pad(bgr, ((0, down), (0, right), (0, 0)), mode="reflect")

    def _through(self, rgb: Tensor) -> Tensor:
        """1 3 H W to 1 3 sH sW, tiled as the attributes say by now."""
        before, engine = self._inference, self._engine()
        if before.engine != engine:
            self._inference = Inference(before.network, engine, before.runner, before.cut, before.emit)
        (batch,) = self._inference.upscaled([Batch(frames=(), rows=(0,), rgb=rgb)])
        assert batch.rgb is not None
        return batch.rgb

    def _engine(self) -> Engine:
        return Engine(
            device=self.device,
            precision="fp16" if self.half else "fp32",
            runtime="eager",
            batch=1,
            tile=max(0, self.tile_size),
            overlap=self.tile_pad,
            ramp=0,
            reuse=False,
            cache=0,
        )


def reference_tiles(height: int, width: int, side: int, overlap: int, multiple: int = 1) -> Iterator[Tile]:
    """The reference's tiles: cores of `side` pixels, what is left over at the right and the bottom; 0 gives one tile.

    Where a tile sees less than the network does, its place shows in the result. Padded boxes start at multiples of
    `multiple`, which is where the reference's start too wherever it works.
    """
    frame = Box(0, 0, height, width)
    down, across = (side or height), (side or width)
    for top in range(0, height, down):
        for left in range(0, width, across):
            core = Box(top, left, min(top + down, height), min(left + across, width))
            seen = core.grown(overlap, frame)
            corner = (seen.top // multiple * multiple, seen.left // multiple * multiple)
            yield Tile(core, Box(*corner, seen.bottom, seen.right))


def device_of(device: str | torch.device | None, gpu_id: int | None) -> torch.device:
    if device is not None:
        return pick_device(str(device))
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return pick_device("cuda" if gpu_id is None else f"cuda:{gpu_id}")


def mode_of(img: NDArray[Any]) -> Mode:
    """What kind of picture an array is. Raises UsageError for those that are none."""
    if not isinstance(img, np.ndarray):
        hint = "cv2.imread gives None for what it cannot read" if img is None else ""
        raise UsageError(f"enhance: img is a {type(img).__name__}, expected is a NumPy array", hint)
    channels = img.shape[2] if img.ndim == 3 else 1 if img.ndim == 2 else 0
    if channels not in (1, 3, 4) or not img.size:
        raise UsageError(f"enhance: img has the shape {img.shape}, expected is H W, H W 3 (BGR) or H W 4 (BGRA)")
    if img.dtype.kind not in "uif":
        raise UsageError(f"enhance: img is of {img.dtype}, expected is uint8 or uint16")
    if img.dtype.kind == "f" and not np.isfinite(img).all():
        raise UsageError(f"enhance: img is of {img.dtype} and holds NaN or infinite values")
    return "L" if channels == 1 else "RGB" if channels == 3 else "RGBA"


def peak_of(img: NDArray[Any]) -> int:
    """The code of white: a matter of the type, and of the values only where the type says nothing of depth."""
    known = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(img.dtype.newbyteorder("="))
    return known or (65535 if img.max() > 256 else 255)


def _final_size(img: NDArray[Any], factor: float) -> tuple[int, int]:
    """(width, height) in pixels, cut off as in the reference."""
    size = (int(img.shape[1] * factor), int(img.shape[0] * factor))
    if min(size) < 1:
        raise UsageError(f"enhance: outscale {factor} leaves nothing of a picture of {img.shape[1]}x{img.shape[0]}")
    return size
