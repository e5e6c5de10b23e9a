"""Faces found by YuNet, on the CPU, through OpenCV.

Source: W. Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research, 2023. The weights
are a file of OpenCV's model zoo; vidsr carries none.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import WeightsError
from .face import Face
from .scales import COARSE, LARGEST, border_of, face_of, first_size, merged, placed

OVERLAP = 0.3
"""Boxes that share more are of one face; that of OpenCV."""
MOST = 5000
"""Boxes that are compared, the best ones; that of OpenCV."""
GRAY = (104, 117, 123)
"""Blue, green and red of the border."""


class YuNetDetector:
    """Finds faces of any size with the weights in `graph`, the content of an ONNX file; `name` is for errors.

    `threshold` is the least score; `largest` the longer side, in pixels, that is looked at. Not for several threads at
    once. Raises WeightsError when OpenCV cannot use the file.
    """

    def __init__(self, graph: bytes, name: str, *, threshold: float, largest: int = LARGEST) -> None:
        self.largest = largest
        buffer, none = np.frombuffer(graph, np.uint8), np.empty(0, np.uint8)
        try:
            self._net = cv2.FaceDetectorYN.create("onnx", buffer, none, (64, 64), threshold, OVERLAP, MOST)
            self._net.detect(np.zeros((64, 64, 3), np.uint8))  # files of other networks fail here
        except cv2.error as error:
            reason = next(iter(str(error).splitlines()), "")
            raise WeightsError(f"weights {name} are none of YuNet: {reason}", "vidsr models info yunet") from error

    def find(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces in a picture H W 3, RGB, best first; boxes may reach beyond it."""
        height, width = picture.shape[:2]
        size = first_size(height, width, self.largest)
        first = _sized(picture[..., ::-1], size)
        second = _sized(first, (-(-size[0] // COARSE), -(-size[1] // COARSE)))
        small = self._look(first, (height, width), 0)
        large = self._look(second, (height, width), border_of(*second.shape[:2]))
        return merged(small, large, size[1] / width)

    def _look(self, pixels: NDArray[np.uint8], picture: tuple[int, int], border: int) -> list[Face]:
        size = pixels.shape[:2]
        framed = cv2.copyMakeBorder(pixels, border, border, border, border, cv2.BORDER_CONSTANT, value=GRAY)
        self._net.setInputSize((framed.shape[1], framed.shape[0]))
        rows = self._net.detect(framed)[1]
        return [] if rows is None else [_face(row, size, picture, border) for row in rows]


def _sized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    smaller = size[0] < picture.shape[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(picture), size[::-1], interpolation=way).astype(np.uint8)


def _face(row: NDArray[np.float32], size: tuple[int, int], picture: tuple[int, int], border: int) -> Face:
    """From left, top, width, height, five landmarks (those of the person's right first) and the score."""
    box = np.array([row[:2], row[:2] + row[2:4]])
    marks = placed(row[4:14].reshape(5, 2), size, picture, border)
    return face_of(placed(box, size, picture, border).reshape(4), row[14], marks)
