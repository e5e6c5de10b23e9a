"""What is wrong with a data set, found before a run: every file is read, every film indexed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.errors import InputError
from vidsr.events import Emit, Progress, ignore
from vidsr.media.images import Picture, open_picture

from .build import pairs_of, pictures_of, rules_of
from .cutter import check_pair
from .folders import films
from .index import DAMAGED, INTERLACED, MAX_PIXELS, OTHER, index_of
from .lmdb import Database, keys_of
from .options import DataOptions, LmdbData, PairedData, PictureData, VideoData
from .pictures import Pixels, decode_pixels, pixels_of
from .scenes import cuts, excuse, starts

What = Literal[
    "unreadable", "too small", "alpha", "16 bit", "duplicate", "pair size", "pair shifted", "pair differs", "no clips",
    "damaged", "interlaced", "changes size", "no times", "film",
]  # fmt: skip
A = TypeVar("A")

SHIFT = 0.5
"""Pixels of the small picture by which a pair may be out of line: what a resize that counts from corners does."""
ALIKE = 0.5
"""Correlation below which the two of a pair show something else."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is worth knowing. An error is left out of a run or ends it; a warning is trained on as it is."""

    level: Literal["error", "warning", "info"]
    what: What
    path: str
    text: str
    """A sentence that names the file."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of one picture: enough to find its doubles."""

    path: str
    findings: tuple[Finding, ...]
    exact: str = ""
    """Hash of its pixels."""
    alike: str = ""
    """Signs of 256 differences between neighbours on a thumbnail: the same for a copy of other size or quality."""


def check(options: Sequence[DataOptions], scale: int, emit: Emit = ignore) -> list[Finding]:
    """All findings, set by set. `emit` is told the progress, in files. Raises InputError for sets that do not exist."""
    return [finding for option in options for finding in _check_set(option, scale, emit)]


def _check_set(option: DataOptions, scale: int, emit: Emit) -> Iterator[Finding]:
    if isinstance(option, VideoData):
        paths = films(option.paths)
        for done, path in enumerate(paths):
            yield from check_film(path, option, emit)
            emit(Progress(done + 1, len(paths), 0.0, 0.0))
    elif isinstance(option, PairedData):
        look = partial(check_pair_files, scale=scale, gt_size=option.gt_size)
        yield from _gathered(_in_parallel(look, pairs_of(option), emit))
    elif isinstance(option, PictureData):
        paths = [path for _, found in pictures_of(option) for path in found]
        yield from _gathered(_in_parallel(partial(check_picture, gt_size=option.gt_size), paths, emit))
    else:
        yield from _check_database(option, scale, emit)


def _in_parallel(look: Callable[[A], Looked], items: Sequence[A], emit: Emit) -> Iterator[Looked]:
    """The looks at all items, in order; decoders let other threads run."""
    with ThreadPoolExecutor(4, "vidsr-check") as threads:
        for done, looked in enumerate(threads.map(look, items), 1):
            emit(Progress(done, len(items), 0.0, 0.0))
            yield looked


def _gathered(looks: Iterable[Looked]) -> Iterator[Finding]:
    """The findings of each picture, and that it shows what an earlier one shows."""
    exact: dict[str, str] = {}
    alike: dict[str, str] = {}
    for looked in looks:
        yield from looked.findings
        if not looked.exact:
            continue
        same, similar = exact.setdefault(looked.exact, looked.path), alike.setdefault(looked.alike, looked.path)
        if same != looked.path:
            yield _warning("duplicate", looked.path, f"has the same pixels as {same}")
        elif similar != looked.path:
            yield _warning("duplicate", looked.path, f"looks the same as {similar}")


def check_picture(path: Path, gt_size: int) -> Looked:
    """What is to be said of a picture file."""
    try:
        picture = open_picture(path, MAX_PIXELS).picture()
    except InputError as error:
        return Looked(str(path), (Finding("error", "unreadable", str(path), str(error)),))
    return _looked(str(path), pixels_of(picture), (*_kind(picture, path), *_size(str(path), picture, gt_size)))


def _kind(picture: Picture, path: Path) -> Iterator[Finding]:
    pixels = picture.pixels
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        yield _warning("alpha", str(path), "has transparency, which training does not see")
    if pixels.dtype != np.uint8:
        depth = "linear light" if pixels.dtype.kind == "f" else "16 bit"
        yield _warning("16 bit", str(path), f"has samples of {depth}, which become 8 bit")


def _size(path: str, picture: Picture, gt_size: int) -> Iterator[Finding]:
    if min(picture.width, picture.height) < gt_size:
        size = f"{picture.width}x{picture.height}"
        yield _warning("too small", path, f"has {size} pixels, crops of {gt_size} mirror what lacks")


def _looked(path: str, pixels: Pixels, findings: Iterable[Finding]) -> Looked:
    thumb = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (17, 16), interpolation=cv2.INTER_AREA)
    rising = np.packbits(thumb[:, 1:] > thumb[:, :-1])
    exact = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16).hexdigest()
    flat = int(thumb.max()) - int(thumb.min()) < 8  # no signs to compare
    return Looked(path, tuple(findings), exact, exact if flat else rising.tobytes().hex())


def check_pair_files(pair: tuple[Path, Path], scale: int, gt_size: int) -> Looked:
    """What is to be said of a pair: both pictures, their sizes, and whether one lies over the other."""
    looks = [check_picture(pair[0], gt_size=0), check_picture(pair[1], gt_size=0)]
    findings = [finding for look in looks for finding in look.findings]
    if any(finding.level == "error" for finding in findings):
        return Looked(str(pair[0]), tuple(findings))
    gt, lq = (pixels_of(open_picture(path, MAX_PIXELS).picture()) for path in pair)
    findings += compare_pair(gt, lq, scale, gt_size, f"{pair[0]} and {pair[1]}")
    return Looked(str(pair[0]), tuple(findings), looks[0].exact, looks[0].alike)


def compare_pair(gt: Pixels, lq: Pixels, scale: int, gt_size: int, name: str) -> Iterator[Finding]:
    """Whether two pictures, H W 3, are a pair to train on."""
    try:
        check_pair(gt.shape[:2], lq.shape[:2], scale, gt_size, name)
    except InputError as error:
        yield Finding("error", "pair size", name, str(error))
        return
    alike, (across, down) = alignment(gt, lq)
    if alike < ALIKE:
        yield Finding("error", "pair differs", name, f"pair {name}: they show something else (correlation {alike:.2f})")
    elif max(abs(across), abs(down)) > SHIFT:
        by = f"{across:+.1f} pixels across and {down:+.1f} down"
        yield _warning("pair shifted", name, f"is out of line: the small picture is shifted by {by}", "pair")


def alignment(gt: Pixels, lq: Pixels) -> tuple[float, tuple[float, float]]:
    """(correlation, (right, down)) of the small picture against the large one made as small.

    The shift, in pixels of the small one, is found by phase correlation (Kuglin and Hines, 1975); the correlation is
    that after the shift is undone, so that a shifted picture is not taken for another one.
    """
    height, width = lq.shape[:2]
    small = cv2.resize(cv2.cvtColor(gt, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_AREA)
    first, second = small.astype(np.float32), cv2.cvtColor(lq, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if min(first.std(), second.std()) < 1:  # flat pictures show nothing that could be out of line
        return (1.0 if abs(float(first.mean() - second.mean())) < 32 else 0.0), (0.0, 0.0)
    window = cv2.createHanningWindow((width, height), cv2.CV_32F) if min(height, width) > 1 else None
    (across, down), _ = cv2.phaseCorrelate(first, second, window)
    away = int(np.rint(across)), int(np.rint(down))
    return _correlation(first, second, *away), (across, down)


def _correlation(first: NDArray[Any], second: NDArray[Any], right: int, down: int) -> float:
    """Pearson's, where both overlap once `second` is moved back by (right, down)."""
    height, width = first.shape
    if abs(right) >= width or abs(down) >= height:
        return 0.0
    ours = first[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    theirs = second[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    if min(ours.std(), theirs.std()) == 0:
        return 0.0
    return float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])


def check_film(path: Path, option: VideoData, emit: Emit = ignore) -> Iterator[Finding]:
    """What is to be said of a film."""
    try:
        index = index_of(path, emit)
    except InputError as error:
        yield Finding("error", "unreadable", str(path), str(error))
        return
    frames = len(index.frames)
    for mark, what, said in (
        (DAMAGED, "damaged", "are damaged and left out"),
        (INTERLACED, "interlaced", "are interlaced and left out"),
        (OTHER, "changes size", "have another size or format than the first and are left out"),
    ):
        if index.count(mark):
            yield Finding("warning", what, str(path), f"film {path}: {index.count(mark)} of {frames} frames {said}")  # type: ignore[arg-type]
    if index.left_out:
        said = f"film {path}: {index.left_out} frames have no time, or one that does not rise, and are left out"
        yield Finding("warning", "no times", str(path), said)
    if min(index.size) < option.gt_size:
        size = f"{index.size[0]}x{index.size[1]}"
        said = f"film {path}: frames of {size} are too small for crops of {option.gt_size} pixels"
        yield Finding("error", "too small", str(path), said)
    rules = rules_of(option)
    found = len(starts(index, rules))
    if not found:
        said = f"film {path} holds no clip to train on: {excuse(index, rules)}"
        yield Finding("error", "no clips", str(path), said)
        return
    scenes = int(cuts(index.frames, rules.scene_threshold).sum()) + 1
    said = f"film {path}: {frames} frames in {scenes} scenes, {found} of them may begin a clip"
    yield Finding("info", "film", str(path), said)


def _check_database(option: LmdbData, scale: int, emit: Emit) -> Iterator[Finding]:
    databases = [Database(folder) for folder in (option.gt, option.lq) if folder is not None]
    keys = keys_of(option.gt)

    def look(key: str) -> Looked:
        name = f"{option.gt}/{key}"
        try:
            pixels = [decode_pixels(database.read(key), f"{database.folder}/{key}") for database in databases]
        except InputError as error:
            return Looked(name, (Finding("error", "unreadable", name, str(error)),))
        said = compare_pair(pixels[0], pixels[1], scale, option.gt_size, name) if len(pixels) > 1 else ()
        return _looked(name, pixels[0], said)

    try:
        yield from _gathered(_in_parallel(look, keys, emit))
    finally:
        for database in databases:
            database.close()


def _warning(what: What, path: str, text: str, kind: str = "picture") -> Finding:
    return Finding("warning", what, path, f"{kind} {path} {text}")
