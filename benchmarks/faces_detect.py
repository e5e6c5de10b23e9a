"""How many faces a detector finds on real photographs, and how far its landmarks are from those of another one.

    pip download --no-deps facenet-pytorch==2.6.0
    python -m benchmarks.faces_detect --facenet facenet_pytorch-2.6.0-py3-none-any.whl PHOTO... [--empty PICTURE...]

The other one is facenet-pytorch's MTCNN, in an environment of its own (see `benchmarks.reference`). The faces that it
finds in the photographs as they are count as the true ones, so these should show whole faces. Both detectors then look
at changed copies: smaller, turned, cut through the face, cut so that it is larger than the picture, blurred, noisy,
compressed; true places change with them. The size of a face is the root of the area of its box. A true face is found
when the middle of its landmarks is within a quarter of its size; errors are the mean distance of its five landmarks, in
sizes. `--empty` pictures have no faces. JSON goes to stdout.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.faces.detect import DEFAULT, load_detector
from vidsr.models.store import sha256_of

from .common import machine
from .oracle_compat import ENVIRONMENT
from .reference import make_environment

SERVER = Path(__file__).with_name("faces_detect_server.py")
Picture = NDArray[np.uint8]
Points = NDArray[np.float64]
Move = NDArray[np.float64]
SAME = np.eye(2, 3)
Truth = tuple[Points, float]
"""Landmarks and the size of a face."""


def read(path: Path) -> Picture:
    """H W 3, RGB."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"{path} is no picture that OpenCV can read")
    return np.ascontiguousarray(picture[..., ::-1]).astype(np.uint8)


def scaled(factor: float) -> Callable[[Picture, Points], tuple[Picture, Move]]:
    def change(picture: Picture, _: Points) -> tuple[Picture, Move]:
        made = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        real = np.array([made.shape[1] / picture.shape[1], made.shape[0] / picture.shape[0]])
        return made.astype(np.uint8), np.column_stack([np.diag(real), (real - 1) / 2])

    return change


def turned(degrees: float) -> Callable[[Picture, Points], tuple[Picture, Move]]:
    def change(picture: Picture, points: Points) -> tuple[Picture, Move]:
        move = cv2.getRotationMatrix2D(points.mean(0).tolist(), degrees, 1.0)
        made = cv2.warpAffine(picture, move, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        return made.astype(np.uint8), np.asarray(move, np.float64)

    return change


def larger_than_the_picture(picture: Picture, points: Points) -> tuple[Picture, Move]:
    """Only what lies around the landmarks, 1000 pixels high."""
    (left, top), (right, bottom) = points.min(0), points.max(0)
    reach = 0.3 * (right - left)
    factor = 1000 / (bottom - top + 2 * reach)
    move = np.array([[factor, 0, -factor * (left - reach)], [0, factor, -factor * (top - reach)]])
    size = (round(factor * (right - left + 2 * reach)), 1000)
    return cv2.warpAffine(picture, move, size, flags=cv2.INTER_LINEAR).astype(np.uint8), move


def cut_through(picture: Picture, points: Points) -> tuple[Picture, Move]:
    """Without the right eye and all beyond it."""
    end = points[:, 0].mean() + 0.35 * float(np.linalg.norm(points[1] - points[0]))
    return np.ascontiguousarray(picture[:, : round(end)]), SAME


def _same_place(work: Callable[[Picture], Any]) -> Callable[[Picture, Points], tuple[Picture, Move]]:
    return lambda picture, _: (np.clip(work(picture), 0, 255).astype(np.uint8), SAME)


def compressed(picture: Picture) -> Any:
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 12])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def noisy(picture: Picture) -> Any:
    return picture + np.random.default_rng(0).normal(0, 25, picture.shape)


CHANGES: dict[str, Callable[[Picture, Points], tuple[Picture, Move]]] = {
    "as it is": _same_place(lambda picture: picture),
    **{f"{factor} of the size": scaled(factor) for factor in (0.5, 0.25, 0.125)},
    **{f"turned by {angle}": turned(angle) for angle in (-30, -15, 15, 30)},
    "larger than the picture": larger_than_the_picture,
    "cut through": cut_through,
    "blurred": _same_place(lambda picture: cv2.GaussianBlur(picture, (0, 0), max(picture.shape) / 250)),
    "noisy": _same_place(noisy),
    "compressed": _same_place(compressed),
}


def second(python: Path, wheel: Path, pictures: dict[str, Picture], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What MTCNN finds."""
    package, given, found = folder / "facenet", folder / "pictures.npz", folder / "found.json"
    if not package.exists():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(package)
    np.savez(given, **pictures)  # type: ignore[arg-type]
    subprocess.run([python, SERVER, package, given, found], check=True, stdout=subprocess.DEVNULL)
    answer: dict[str, list[dict[str, Any]]] = json.loads(found.read_text())
    return answer


def first(name: str, pictures: dict[str, Picture]) -> tuple[dict[str, list[dict[str, Any]]], dict[str, float]]:
    """What our detector finds, and its seconds."""
    detector = load_detector(name)
    found, seconds = {}, {}
    for key, picture in pictures.items():
        begun = time.perf_counter()
        faces = detector.find(picture)
        seconds[key] = time.perf_counter() - begun
        found[key] = [{"box": face.box, "score": face.score, "landmarks": face.landmarks.tolist()} for face in faces]
    return found, seconds


def compared(found: list[dict[str, Any]], true: list[Truth]) -> dict[str, Any]:
    """True faces that were found, the errors of their landmarks, and faces beyond them."""
    rest = [np.array(face["landmarks"]) for face in found]
    errors = []
    for points, size in true:
        away = [float(np.linalg.norm(other.mean(0) - points.mean(0))) / size for other in rest]
        if away and min(away) < 0.25:
            match = rest.pop(int(np.argmin(away)))
            errors.append(float(np.linalg.norm(match - points, axis=1).mean()) / size)
    return {"true": len(true), "found": len(errors), "beyond": len(rest), "errors": errors}


def summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    errors = [error for part in parts for error in part["errors"]]
    total = {name: sum(part[name] for part in parts) for name in ("true", "found", "beyond")}
    about = {"mean_error": round(mean(errors), 4), "median_error": round(median(errors), 4)} if errors else {}
    return {**total, "recall": round(total["found"] / max(1, total["true"]), 4), **about}


def truth(face: dict[str, Any]) -> Truth:
    left, top, right, bottom = face["box"]
    return np.array(face["landmarks"]), float(np.sqrt((right - left) * (bottom - top)))


def changed(photos: dict[str, Picture], true: dict[str, list[Truth]]) -> tuple[dict[str, Picture], dict[str, Any]]:
    """All copies, and the true faces in each."""
    pictures, places = {}, {}
    for name, picture in photos.items():
        for change, make in CHANGES.items():
            made, move = make(picture, true[name][0][0])
            larger = float(np.sqrt(abs(np.linalg.det(move[:, :2]))))
            pictures[f"{change}: {name}"] = made
            places[f"{change}: {name}"] = [
                (points @ move[:, :2].T + move[:, 2], size * larger) for points, size in true[name]
            ]
    return pictures, places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--empty", type=Path, nargs="*", default=[])
    parser.add_argument("--facenet", type=Path, required=True, help="the wheel of facenet-pytorch")
    parser.add_argument("--detector", default=DEFAULT)
    parser.add_argument("--reference-python", type=Path, help="of an environment that has torchvision and Pillow")
    asked = parser.parse_args()
    python = asked.reference_python or make_environment(ENVIRONMENT)
    photos = {path.name: read(path) for path in asked.photos}
    with tempfile.TemporaryDirectory() as folder:
        whole = second(python, asked.facenet, photos, Path(folder))
        true = {name: [truth(face) for face in faces] for name, faces in whole.items() if faces}
        pictures, places = changed({name: photos[name] for name in true}, true)
        pictures |= {f"empty: {path.name}": read(path) for path in asked.empty}
        places |= {f"empty: {path.name}": [] for path in asked.empty}
        theirs = second(python, asked.facenet, pictures, Path(folder))
    ours, seconds = first(asked.detector, pictures)
    rows = {}
    for change in [*CHANGES, *(["empty"] if asked.empty else [])]:
        names = [name for name in pictures if name.startswith(f"{change}: ")]
        rows[change] = {
            side: summed([compared(found[name], places[name]) for name in names])
            for side, found in ((asked.detector, ours), ("mtcnn", theirs))
        }
    parts = {name: compared(ours[name], places[name]) for name in pictures}
    results = {
        "machine": machine(),
        "photos": {path.name: sha256_of(path.read_bytes()) for path in asked.photos},
        "without_a_face_for_mtcnn": sorted(photos.keys() - true.keys()),
        "total": summed(list(parts.values())),
        "median_seconds": round(median(seconds.values()), 4),
        "changes": rows,
        "missed": [name for name, part in parts.items() if part["found"] < part["true"]],
        "beyond": [name for name, part in parts.items() if part["beyond"]],
    }
    print(json.dumps(results, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
