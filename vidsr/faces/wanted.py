"""From the options of a run to what restores faces, and to where they are written."""

from __future__ import annotations

from pathlib import Path

import cv2
import torch
from torch import Tensor

from ..errors import ExistsError, OutputError, UsageError
from ..events import Emit, ignore
from ..fs import Target
from ..options import Options
from ..runtime.interface import Check
from .enhance import Choice, FaceEnhancer, Keep, codes, load_enhancer
from .face import Face
from .film import Film


def faces_of(
    options: Options, device: torch.device, emit: Emit = ignore, check: Check | None = None
) -> FaceEnhancer | None:
    """What --face-enhance and its companions ask for; None where it is not given. Raises UsageError, WeightsError."""
    if options.face_enhance is None:
        return None
    return load_enhancer(
        options.face_enhance,
        device,
        precision="fp32" if options.precision == "fp32" else "auto",
        detector=options.face_detector,
        choice=Choice(options.face_weight, "center" if options.only_center_face else "all"),
        emit=emit,
        check=check,
    )


def film_of(
    options: Options, input: Path, device: torch.device, emit: Emit = ignore, check: Check | None = None
) -> Film | None:
    """`faces_of` for the frames of the film at `input`. Raises UsageError, ExistsError, OutputError, WeightsError."""
    if options.aligned:
        raise UsageError(f"--aligned: input {input} is a film", "it is for pictures that are one face")
    if options.face_restored_crops is not None:
        check_crops(options.face_restored_crops, input.stem, options.overwrite)
    enhancer = faces_of(options, device, emit, check)
    if enhancer is None:
        return None
    if options.face_restored_crops is not None:
        enhancer.keep = crops_into(options.face_restored_crops, input.stem, options.overwrite)
    return Film(enhancer)


def check_crops(folder: Path, stem: str, overwrite: bool) -> None:
    """Raises OutputError where `folder` is no folder, ExistsError where it holds faces of a picture of that name."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"--face-restored-crops: {folder} is no folder", "name a folder, or one that is not there yet"
        )
    there = next((path for path in folder.glob("*.png") if _is_crop(path, stem)), None) if folder.is_dir() else None
    if there is not None and not overwrite:
        raise ExistsError(f"--face-restored-crops: {there} exists", "-y replaces it; or name another folder")


def _is_crop(path: Path, stem: str) -> bool:
    head, line, number = path.stem.rpartition("_")
    return bool(line) and head == stem and number.isdecimal()


def crops_into(folder: Path, stem: str, overwrite: bool) -> Keep:
    """Writes every restored face as `<stem>_<number>.png`, numbered in the order in which they are restored; those of
    films as `<stem>_<frame>_<person>.png`.
    """
    count = 0

    def write(picture: int, face: Face, restored: Tensor) -> None:
        nonlocal count
        number = f"{count:02}" if face.track < 0 else f"{picture:06}_{face.track:02}"
        write_face(folder / f"{stem}_{number}.png", restored, overwrite)
        count += 1

    return write


def write_face(path: Path, face: Tensor, overwrite: bool) -> None:
    """A face, 3 512 512 RGB in [0, 1], as PNG. Raises ExistsError and OutputError."""
    done, data = cv2.imencode(".png", codes(face)[..., ::-1])
    assert done, "OpenCV writes PNG"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Target(path, overwrite=overwrite) as target:
            target.path.write_bytes(data.tobytes())
            target.commit()
    except OSError as error:
        raise OutputError(f"--face-restored-crops: {path}: {(error.strerror or str(error)).lower()}") from error
