"""Detectors, on drawn faces: of all sizes, at borders, many and none, and the same pixels give the same faces."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from vidsr.errors import UsageError, WeightsError
from vidsr.faces.detect import load_detector
from vidsr.faces.face import Face
from vidsr.faces.nets.retinaface import RetinaFace, anchors, decoded
from vidsr.faces.retinaface import OVERLAP
from vidsr.faces.scales import distinct, first_size, merged, placed
from vidsr.faces.weights import load_network
from vidsr.faces.yunet import YuNetDetector

from . import drawn

GOLDEN = Path(__file__).with_name("goldens_detector.npz")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    cv2.setNumThreads(1)


def found(picture: NDArray[np.uint8], threshold: float = 0.6) -> list[Face]:
    return load_detector(threshold=threshold).find(picture)


def error(face: Face, points: NDArray[np.float32]) -> float:
    """Mean distance of the landmarks, in distances of the eyes."""
    return float(np.linalg.norm(face.landmarks - points, axis=1).mean() / np.linalg.norm(points[1] - points[0]))


def test_the_embedded_network_is_that_of_the_package() -> None:
    """What onnxruntime made of its graph, within what float16 weights cost: see benchmarks.convert_retinaface."""
    network = load_network("retinaface-mobile", "face-detector").network
    picture = drawn.portrait(120, 160, drawn.landmarks(80, 60, 60))
    pixels = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        scores, boxes, marks = network(pixels - torch.tensor(RetinaFace.mean).view(1, 3, 1, 1))
    box, points = decoded(boxes, marks, anchors(120, 160))
    with np.load(GOLDEN) as stored:
        at = stored["anchors"]
        np.testing.assert_allclose(scores[0, at, 1], stored["scores"], atol=2e-3)
        np.testing.assert_allclose(box[0, at], stored["boxes"], atol=0.1)
        np.testing.assert_allclose(points[0, at], stored["landmarks"], atol=0.1)
        assert stored["scores"].max() > 0.4


@pytest.mark.parametrize(
    ("height", "width", "x", "y", "size"),
    [
        (120, 160, 80, 60, 30),  # eyes 7 pixels apart, in a picture that is enlarged
        (120, 160, 80, 60, 60),
        (300, 400, 200, 150, 200),
        (720, 1280, 500, 300, 300),
        (720, 1280, 600, 330, 900),  # larger than the anchors: the second look
        (720, 1280, 640, 360, 1700),  # reaches out of the picture on two sides
        (400, 400, 40, 200, 300),  # half of it is outside
    ],
)
def test_a_face_of_any_size_is_found_once(height: int, width: int, x: int, y: int, size: int) -> None:
    points = drawn.landmarks(x, y, size)
    (face,) = found(drawn.portrait(height, width, points))
    assert error(face, points) < 0.2
    assert face.track == -1
    left, top, right, bottom = face.box
    assert left < points[:, 0].min() < points[:, 0].max() < right
    assert top < points[:, 1].min() < points[:, 1].max() < bottom


def test_landmarks_are_in_pixels_of_a_picture_that_was_made_smaller() -> None:
    points = drawn.landmarks(2300, 900, 700)
    (face,) = found(drawn.portrait(1500, 3000, points))
    assert error(face, points) < 0.15


def test_the_same_pixels_give_the_same_faces() -> None:
    picture = drawn.portrait(300, 400, drawn.landmarks(200, 150, 200))
    detector = load_detector()
    (first,), (again,) = detector.find(picture), detector.find(picture.copy())
    other = detector.find(np.ascontiguousarray(picture[:, ::-1]))
    (reversed_memory,) = detector.find(np.ascontiguousarray(picture[::-1])[::-1])
    assert first.box == again.box == reversed_memory.box
    assert (first.landmarks == again.landmarks).all()
    assert (first.landmarks == reversed_memory.landmarks).all()
    assert other[0].box != first.box


def test_many_faces_best_first() -> None:
    canvas = np.full((600, 960, 3), (70, 90, 110), np.uint8)
    places = [(80 + 160 * column, 75 + 150 * row) for row, column in product(range(4), range(6))]
    for x, y in places:
        canvas[y - 75 : y + 75, x - 80 : x + 80] = drawn.portrait(150, 160, drawn.landmarks(80, 75, 60))
    faces = found(canvas)
    middles = np.array([face.landmarks.mean(0) for face in faces])
    assert len(faces) == len(places)
    assert all(np.linalg.norm(middles - place, axis=1).min() < 15 for place in places)
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 0.6


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (64, 64), (480, 640)])
def test_pictures_without_faces(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    assert found(rng.integers(0, 256, (*shape, 3), np.uint8)) == []
    assert found(np.zeros((*shape, 3), np.uint8)) == []


def test_colours_are_red_green_blue() -> None:
    """Blue skin is less of a face."""
    picture = drawn.portrait(300, 400, drawn.landmarks(200, 150, 200))
    (right,) = found(picture, 0.1)[:1]
    swapped = found(np.ascontiguousarray(picture[..., ::-1]), 0.1)[:1]
    assert not swapped or swapped[0].score != right.score


@pytest.mark.parametrize(
    ("picture", "looked_at"),
    [((1080, 1920), (720, 1280)), ((720, 1280), (720, 1280)), ((90, 160), (180, 320)), ((300, 500), (384, 640)),
     ((4000, 10), (1280, 3)), ((1, 1), (2, 2))],
)  # fmt: skip
def test_sizes_that_are_looked_at(picture: tuple[int, int], looked_at: tuple[int, int]) -> None:
    assert first_size(*picture) == looked_at


def test_places_are_those_of_pixel_centres() -> None:
    """The middle of a picture is the middle of its smaller copy, border or none."""
    assert placed(np.array([[159.5, 89.5]]), (180, 320), (720, 1280)).tolist() == [[639.5, 359.5]]
    assert placed(np.array([[169.5, 99.5]]), (180, 320), (720, 1280), 10).tolist() == [[639.5, 359.5]]


def test_views_of_one_face_are_one() -> None:
    """Two boxes that share exactly the limit are two faces, and nothing follows from a box that was dropped."""
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10], [0, 0, 10, 4]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    assert distinct(boxes, scores, OVERLAP) == [0, 2, 3]
    assert distinct(boxes[:0], scores[:0], OVERLAP) == []


def test_each_look_has_the_say_on_its_sizes() -> None:
    def face(left: float, side: float, score: float) -> Face:
        return Face((left, 0, left + side, side), score, np.zeros((5, 2), np.float32))

    part, small, beyond = face(300, 200, 0.95), face(900, 100, 0.9), face(0, 900, 0.99)
    large, tiny = face(0, 800, 0.85), face(900, 100, 0.99)
    assert merged([part, small, beyond], [large, tiny], 1.0) == [small, large]
    assert merged([part], [], 1.0) == [part]
    assert merged([beyond], [beyond], 0.3) == [beyond]  # 270 pixels of the first look: both may, one does


def test_a_resnet_finds_nothing_with_weights_of_zero(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its layout runs through the same way; scores of one half are below the threshold."""
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    state = {f"module.{key}": torch.zeros_like(value) for key, value in RetinaFace("resnet50").state_dict().items()}
    torch.save(state, path)
    assert load_detector(str(path)).find(np.zeros((64, 64, 3), np.uint8)) == []
    assert len(load_detector(str(path), threshold=0.5).find(np.zeros((64, 64, 3), np.uint8))) > 0


def test_a_graph_of_another_kind_is_none_of_yunet() -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 8, 8]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    data = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)]).SerializeToString()
    for content in (data, b"nonsense"):
        with pytest.raises(WeightsError, match=r"weights my\.onnx are none of YuNet"):
            YuNetDetector(content, "my.onnx", threshold=0.8)


def test_names_that_are_no_detectors() -> None:
    with pytest.raises(UsageError, match="did you mean 'retinaface-mobile'"):
        load_detector("retinaface-mobil")
    with pytest.raises(UsageError, match=r"gfpgan-1\.4 is a face-restorer"):
        load_detector("1.4")
