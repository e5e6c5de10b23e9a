"""Faces of a picture found, made upright, restored, put back into the larger picture; `film` follows them over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..events import Emit, ignore
from ..frames import Box
from ..runtime.interface import Check
from .align import crop, similarity, source_box
from .detect import DEFAULT, SCORE, SCORE_IN_FILMS, Detector, load_detector
from .face import Face
from .masks import Masks
from .paste import matched, paste
from .restore import TOGETHER, Restorer, load_masks, load_restorer
from .warp import Matrix, moved

Item = TypeVar("Item")
Only = Literal["all", "center", "largest"]

Keep = Callable[[int, Face, Tensor], None]
"""Gets the number of the picture, a face in it, and that restored, 3 512 512 RGB in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which faces are restored, and how much."""

    weight: float = 1.0
    """The part of the restored face, 0 to 1; the rest is the face as it was."""
    only: Only = "all"
    """All faces, the one nearest to the middle of the picture, or the one of the largest area."""
    least_eyes: float = 5.0
    """Pixels between the eyes below which a face, too small or seen from the side, is left alone; the reference's."""
    colours: bool = True
    """Whether a restored face gets the colours of what it replaces."""


@dataclass(slots=True, eq=False)
class Placed:
    """A face in a picture, and what is to be put there, once it is restored."""

    face: Face
    matrix: Matrix
    """From pixels of the picture to those of the aligned face."""
    box: Box
    """The pixels of the picture that the face is made of."""
    pixels: Tensor
    """3 h w, those pixels."""
    shown: tuple[Tensor, Tensor] | None = None
    """The face restored, 3 512 512, and its mask, 512 512."""


class FaceEnhancer:
    """Detector, restorer and masks, loaded once, for pictures that have nothing to do with each other.

    `keep` gets every face that was restored, with the number of its picture, which counts from 0.
    """

    def __init__(
        self,
        detector: Detector,
        restorer: Restorer,
        masks: Masks,
        choice: Choice | None = None,
        keep: Keep | None = None,
    ) -> None:
        self.detector, self.restorer, self.masks, self.keep = detector, restorer, masks, keep
        self.choice = choice or Choice()
        self._count = 0

    def __call__(self, source: Tensor, upscaled: Tensor) -> Tensor:
        """`upscaled`, N 3 sH sW, with the faces that were found in `source`, N 3 H W; RGB in [0, 1], on one device.

        A new tensor; `upscaled` itself where there is no face.
        """
        rows = [[self.placed(row, face) for face in self._sure(row)] for row in source]
        jobs = [(number, placed) for number, row in enumerate(rows) for placed in row]
        result, scale = upscaled.clone() if jobs else upscaled, ratio(source, upscaled)
        for part in parts(jobs, TOGETHER):  # hundreds of restored faces would fill the memory
            self.restore([placed for _, placed in part], [self._count + number for number, _ in part])
            for number, placed in part:
                put(placed, result[number], scale)
                placed.shown = None
        self._count += len(source)
        return result

    def find(self, rgb: Tensor) -> list[Face]:
        """All faces in 3 H W."""
        return self.detector.find(codes(rgb))

    def _sure(self, rgb: Tensor) -> list[Face]:
        """Those that may be restored without having been seen before."""
        return self.chosen((face for face in self.find(rgb) if face.score >= SCORE), *rgb.shape[-2:])

    def chosen(self, faces: Iterable[Face], height: int, width: int) -> list[Face]:
        """Those that can be restored, and are wanted; smaller ones first, for a larger one is nearer and hides them."""
        able = [face for face in faces if self._is_able(face, height, width)]
        if able and self.choice.only == "center":
            able = [min(able, key=lambda face: _off_centre(face, height, width))]
        if able and self.choice.only == "largest":
            able = [max(able, key=lambda face: _area(face, height, width))]
        return sorted(able, key=_eyes)

    def _is_able(self, face: Face, height: int, width: int) -> bool:
        if not np.isfinite(face.landmarks).all() or _eyes(face) < max(self.choice.least_eyes, 0.1):
            return False
        return source_box(similarity(face.landmarks, robust=False), height, width).area > 0

    def placed(self, rgb: Tensor, face: Face, *, robust: bool = True) -> Placed:
        """A face, not yet restored, of a picture 3 H W; `robust` is that of `similarity`."""
        matrix = similarity(face.landmarks, robust=robust)
        box = source_box(matrix, *rgb.shape[-2:])
        return Placed(face, matrix, box, box.of(rgb))

    def restore(self, faces: Sequence[Placed], numbers: Sequence[int]) -> None:
        """Fill in what is `shown` of every face; `numbers` are those of their pictures."""
        pairs = list(zip(numbers, faces, strict=True))
        for part in parts(pairs, TOGETHER):
            shown, masks = self.restored(torch.stack([aligned(placed) for _, placed in part]))
            for (number, placed), face, mask in zip(part, shown, masks, strict=True):
                placed.shown = face, mask
                if self.keep:
                    self.keep(number, placed.face, face)

    def restored(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Aligned faces, N 3 512 512, restored, and their masks, N 512 512."""
        faces = self.restorer(crops, self.choice.weight)
        masks = self.masks(faces)
        return (matched(faces, crops, masks) if self.choice.colours else faces), masks


def load_enhancer(
    name: str,
    device: torch.device,
    *,
    precision: str = "auto",
    detector: str = DEFAULT,
    choice: Choice | None = None,
    keep: Keep | None = None,
    emit: Emit = ignore,
    check: Check | None = None,
) -> FaceEnhancer:
    """With the restorer of that name, or of a weights file; for pictures and films.

    `precision` is that of `Restorer`, `detector` a name or a path as `load_detector` takes it, `check` is called
    between faces. Raises UsageError for unknown names, WeightsError for weights that are missing or refused.
    """
    restorer = load_restorer(name, device, precision, emit=emit, check=check)
    finder = load_detector(detector, device, emit, threshold=SCORE_IN_FILMS)
    return FaceEnhancer(finder, restorer, load_masks(device, emit), choice, keep)


def aligned(placed: Placed) -> Tensor:
    """The aligned face, 3 512 512."""
    return crop(placed.pixels, moved(placed.matrix, placed.box.left, placed.box.top))


def put(placed: Placed, frame: Tensor, scale: tuple[float, float]) -> None:
    """Put a restored face into `frame`, 3 sH sW, which is changed."""
    assert placed.shown is not None, "only restored faces are put back"
    paste(frame, placed.shown[0], placed.matrix, placed.shown[1], scale)


def ratio(source: Tensor, upscaled: Tensor) -> tuple[float, float]:
    """How many times larger, (across, down)."""
    return upscaled.shape[-1] / source.shape[-1], upscaled.shape[-2] / source.shape[-2]


def codes(rgb: Tensor) -> NDArray[np.uint8]:
    """3 H W in [0, 1] to H W 3 codes of 8 bits on the host, as detectors take them."""
    rounded = rgb.float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())


def parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in order, up to `size` at a time."""
    return (items[at : at + size] for at in range(0, len(items), size))


def _eyes(face: Face) -> float:
    """Pixels between the eyes."""
    return float(np.linalg.norm(face.landmarks[0] - face.landmarks[1]))


def _area(face: Face, height: int, width: int) -> float:
    """Of the box, as far as it lies in the picture."""
    left, top, right, bottom = face.box
    return max(0.0, min(right, width) - max(left, 0)) * max(0.0, min(bottom, height) - max(top, 0))


def _off_centre(face: Face, height: int, width: int) -> float:
    left, top, right, bottom = face.box
    return float(np.hypot((left + right - width) / 2, (top + bottom - height) / 2))
