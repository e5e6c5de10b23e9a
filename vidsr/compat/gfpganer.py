"""The reference's restorer of faces in pictures, step by step as it does them, on the parts of `vidsr.faces`."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UsageError, WeightsError
from ..events import Emit, FellBack
from ..faces.align import SIDE, crop, similarity
from ..faces.detect import DEFAULT, Detector, load_detector
from ..faces.enhance import Choice, FaceEnhancer, codes
from ..faces.paste import paste
from ..faces.restore import load_masks, load_restorer
from ..faces.warp import Matrix, moved
from .networks import Weights, spec_of
from .upsampler import device_of, log, mode_of, peak_of

Codes = NDArray[Any]
"""uint8."""

ARCHS = ("clean", "original", "RestoreFormer")
DETECTOR = "retinaface-resnet50"
SCORE = 0.97
"""Faces below it are no faces, in the reference's helper."""


class Background(Protocol):
    """What enlarges the picture around the faces, such as a RealESRGANer."""

    def enhance(self, img: NDArray[Any], outscale: float | None = None) -> tuple[NDArray[Any], Any]:
        """A picture `outscale` times larger, and anything."""
        ...


class GFPGANer:
    """The reference's restorer of faces.

    `model_path` is a weights file, the name of a built-in network for faces, or the address of an official file; the
    network is recognised by its weights, whatever `arch` and `channel_multiplier` say. `upscale` is the final size as a
    factor; `bg_upsampler` makes what is around the faces, Lanczos where there is none. `device` is a name or a
    torch.device, without it a GPU where there is one. The detector is the reference's, RetinaFace on ResNet-50, or the
    one that comes with vidsr where the weights of that cannot be had, which is told; `detector` names another. `emit`
    gets what else there is to say.

    Raises UsageError for arguments that are not allowed, WeightsError for weights that are missing, refused, or no
    network's for faces, DeviceError for a device that is absent.
    """

    def __init__(
        self,
        model_path: Weights,
        upscale: float = 2,
        arch: str = "clean",
        channel_multiplier: int = 2,
        bg_upsampler: Background | None = None,
        device: str | torch.device | None = None,
        *,
        detector: str | None = None,
        emit: Emit = log,
    ) -> None:
        if arch not in ARCHS:
            raise UsageError(f"arch is {arch!r}, allowed are {', '.join(ARCHS)}")
        if not 0 < upscale <= 16:
            raise UsageError(f"upscale is {upscale}, allowed is more than 0 and up to 16")
        self.upscale, self.bg_upsampler = upscale, bg_upsampler
        """These may be changed at any time."""
        self.device = device_of(device, None)
        restorer = load_restorer(spec_of(model_path), self.device, "fp32", emit=emit)
        self._faces = FaceEnhancer(_detector(detector, self.device, emit), restorer, load_masks(self.device, emit))

    @torch.no_grad()
    def enhance(
        self,
        img: NDArray[Any],
        has_aligned: bool = False,
        only_center_face: bool = False,
        paste_back: bool = True,
        weight: float = 0.5,
    ) -> tuple[list[Codes], list[Codes], NDArray[Any] | None]:
        """The aligned and the restored faces, 512 512 3 BGR uint8, and the picture with them, of the final size.

        `img` is H W, H W 3 in the order BGR or H W 4 in the order BGRA, uint8, uint16, or values of 8 or 16 bits. The
        picture that comes out is BGR or BGRA, uint8 or uint16; it is None if `has_aligned` (`img` is a face already) or
        not `paste_back`. `weight` has no effect, as in the reference for these networks.

        Raises UsageError for arrays that are no picture, DeviceError when the device fails.
        """
        gray = mode_of(img) == "L"
        if has_aligned:
            cropped: list[Codes] = [cv2.resize(_bgr(_rgb(img, gray, self.device)), (SIDE, SIDE))]
            return cropped, [_bgr(face) for face in self._restored(cropped)], None
        rgb = _rgb(img, gray, self.device)
        matrices = self._matrices(rgb, only_center_face)
        cropped = [_bgr(crop(rgb, matrix)) for matrix in matrices]
        restored = [_bgr(face) for face in self._restored(cropped)]
        return cropped, restored, self._pasted(img, gray, restored, matrices) if paste_back else None

    def _matrices(self, rgb: Tensor, only_center: bool) -> list[Matrix]:
        """Of the faces that are restored, best first."""
        found = self._faces.find(rgb)
        self._faces.choice = Choice(only="center" if only_center else "all", colours=False)
        wanted = {id(face) for face in self._faces.chosen(found, *rgb.shape[-2:])}
        return [similarity(face.landmarks) for face in found if id(face) in wanted]

    def _restored(self, faces: list[Codes]) -> list[Tensor]:
        """3 512 512 each, from codes, which the reference begins with."""
        return [self._faces.restorer(_rgb(face, False, self.device)[None])[0] for face in faces]

    def _pasted(self, img: NDArray[Any], gray: bool, restored: list[Codes], matrices: list[Matrix]) -> NDArray[Any]:
        background = self._background(img, gray)
        peak = peak_of(background)
        frame = _rgb(background[..., :3], False, self.device)
        across, down = (frame.shape[2 - axis] / img.shape[1 - axis] for axis in (0, 1))
        for bgr, matrix in zip(restored, matrices, strict=True):
            face = _rgb(bgr, False, self.device)
            mask = self._faces.masks(face[None])[0]
            paste(frame, face, _as_reference(matrix, self.upscale), mask, (across, down))
        values = (frame * peak).round().clamp(0, peak).flip(0).permute(1, 2, 0).cpu().numpy()
        result = values.astype(np.uint8 if peak == 255 else np.uint16)
        return result if background.shape[2] == 3 else np.dstack([result, background[..., 3]])

    def _background(self, img: NDArray[Any], gray: bool) -> NDArray[Any]:
        """BGR or BGRA of the final size, uint8 or uint16; alpha only where an upsampler made it."""
        made = img[..., :3] if self.bg_upsampler is None and not gray else img
        if self.bg_upsampler is not None:
            made = self.bg_upsampler.enhance(img, outscale=self.upscale)[0]
        if made.ndim == 2 or made.shape[2] == 1:
            made = made.reshape(*made.shape[:2], 1).repeat(3, 2)
        whole: NDArray[Any] = made.astype(np.uint8 if peak_of(made) == 255 else np.uint16)
        size = int(img.shape[1] * self.upscale), int(img.shape[0] * self.upscale)
        return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_LANCZOS4))


def _detector(name: str | None, device: torch.device, emit: Emit) -> Detector:
    try:
        return load_detector(name or DETECTOR, device, emit, threshold=SCORE)
    except WeightsError as error:
        if name is not None:
            raise
        emit(FellBack(DETECTOR, DEFAULT, str(error)))
        return load_detector(DEFAULT, device, emit, threshold=SCORE)


def _as_reference(matrix: Matrix, upscale: float) -> Matrix:
    """With the half pixel of the larger picture by which the reference puts faces too far right and down."""
    off = -0.5 / upscale if upscale > 1 else 0.0
    return moved(matrix, off, off)


def _rgb(img: NDArray[Any], gray: bool, device: torch.device) -> Tensor:
    """A picture in the order BGR to 3 H W RGB in [0, 1]."""
    values = img.astype(np.float32) / np.float32(peak_of(img))
    planes = np.repeat(values.reshape(1, *img.shape[:2]), 3, 0) if gray else values[..., 2::-1].transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes)).to(device)


def _bgr(rgb: Tensor) -> Codes:
    """3 H W RGB in [0, 1] to H W 3 codes in the order BGR."""
    return np.ascontiguousarray(codes(rgb)[..., ::-1])
