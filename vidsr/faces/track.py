"""Which faces of a film are of one person, and their landmarks without the jitter of detection.

What comes out for a frame depends on the faces in it and in the LOOK_BACK frames before it, and on nothing else: the
linking of faces and the smoothing start anew from the oldest of them at every frame. So a film that is worked on in
segments gives the same landmarks as in one piece when each segment is preceded by LOOK_BACK frames, or begins with a
cut. Only the numbers of the tracks are counted from where a tracker begins.

Linking follows SORT in its idea (A. Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016): each track says
where its face will be if it goes on as it went, and the nearest faces are given to tracks, the best pairs first. Weak
detections go on with a track but begin none (Y. Zhang et al., "ByteTrack", ECCV 2022).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .face import Face
from .scales import shared, side
from .smooth import Points, smoothed

LOOK_BACK = 23
"""Frames before the present one that matter, and that a tracker has to be shown before a segment."""
GAP = 4
"""A face that was not seen in the frames before this many is a new one."""
BEGIN = 0.8
"""Least score of a face that begins a track."""
NEAR = 0.75
"""How far a face may be from where its track expects it, in sizes of the face."""
RESIZE = 2.0
"""How many times larger or smaller a face may get from one view to the next."""


@dataclass(frozen=True)
class Sight:
    """One of the faces of a frame: its frame's number, counted from where the tracker began, and its own."""

    frame: int
    index: int


Chain = tuple[Sight, ...]
"""The views of one person, in order."""


@dataclass
class Seen:
    """The faces of a frame as arrays; `numbers` are those of the tracks that they were given to."""

    faces: list[Face]
    numbers: list[int] = field(init=False)
    points: Points = field(init=False)
    middles: Points = field(init=False)
    boxes: NDArray[np.float32] = field(init=False)
    sizes: Points = field(init=False)
    remembered: tuple[list[Chain], dict[int, int]] = field(default=([], {}), init=False)
    """What `linked` was last asked for this frame, and its answer."""

    def __post_init__(self) -> None:
        self.numbers = [-1] * len(self.faces)
        self.points = np.array([face.landmarks for face in self.faces], np.float64).reshape(-1, 5, 2)
        self.middles = self.points.mean(1)
        self.boxes = np.array([face.box for face in self.faces], np.float32).reshape(-1, 4)
        self.sizes = np.array([max(side(face), 1.0) for face in self.faces])


class Tracker:
    """Gives faces the numbers of their persons, and smooth landmarks. One for each film, frame after frame."""

    def __init__(self) -> None:
        self._memory: deque[Seen] = deque(maxlen=LOOK_BACK + 1)
        self._begun = 0  # number of the oldest frame in the memory
        self._next = 0

    def update(self, faces: list[Face], cut: bool = False) -> list[Face]:
        """Those faces of the next frame that belong to a track, in their order. With `cut` a new scene begins.

        Faces with scores from BEGIN on always do, weaker ones if they go on with a track. Landmarks are smoothed and
        numbers given; boxes and scores stay as they are.
        """
        if cut:
            self._begun += len(self._memory)
            self._memory.clear()
        self._begun += len(self._memory) > LOOK_BACK
        self._memory.append(Seen(faces))
        present = [chain for chain in self._chains() if self._best(chain) >= BEGIN]
        if not present:
            return []
        landmarks = self._smoothed(present)
        return [
            replace(faces[chain[-1].index], landmarks=marks, track=self._number(chain))
            for chain, marks in zip(present, landmarks, strict=True)
        ]

    def _chains(self) -> list[Chain]:
        """The persons in the present frame, in the order of its faces."""
        chains: list[Chain] = []
        for frame, seen in enumerate(self._memory, self._begun):
            chains = [chain for chain in chains if frame - chain[-1].frame <= GAP]
            taken = self._linked(chains, frame, seen)
            goes_on = {index: chains[number] for index, number in taken.items()}
            lost = [chain for number, chain in enumerate(chains) if number not in taken.values()]
            sights = (Sight(frame, index) for index in range(len(seen.faces)))
            chains = [*lost, *((*goes_on.get(sight.index, ()), sight) for sight in sights)]
        return chains[len(chains) - len(seen.faces) :]

    def _linked(self, chains: list[Chain], frame: int, seen: Seen) -> dict[int, int]:
        """As `linked`. Its answer rests on the last two views of each chain, and mostly is that of the frame before."""
        ends = [chain[-2:] for chain in chains]
        if seen.remembered[0] != ends:
            seen.remembered = ends, linked(self._expected(ends, frame), seen) if ends else {}
        return seen.remembered[1]

    def _at(self, sight: Sight) -> Seen:
        return self._memory[sight.frame - self._begun]

    def _expected(self, ends: list[Chain], frame: int) -> Seen:
        """Where the faces of chains will be, when they go on as they went."""
        found = Seen([self._at(end[-1]).faces[end[-1].index] for end in ends])
        moved = np.array([self._step(end) * (frame - end[-1].frame) for end in ends])
        found.points = found.points + moved[:, None]
        found.boxes = found.boxes + np.tile(moved, 2).astype(np.float32)
        return found

    def _step(self, end: Chain) -> Points:
        """Pixels per frame between the last two views."""
        before, last = end[0], end[-1]
        way: Points = self._at(last).middles[last.index] - self._at(before).middles[before.index]
        return way / max(last.frame - before.frame, 1)

    def _best(self, chain: Chain) -> float:
        return max(self._at(sight).faces[sight.index].score for sight in chain)

    def _smoothed(self, chains: list[Chain]) -> NDArray[np.float32]:
        """Landmarks M 5 2 in the present frame."""
        seen = np.zeros((len(self._memory), len(chains)), np.bool_)
        points = np.zeros((*seen.shape, 5, 2))
        for number, chain in enumerate(chains):
            for sight in chain:
                place = sight.frame - self._begun, number
                seen[place], points[place] = True, self._at(sight).points[sight.index]
        return smoothed(seen, points, np.array([self._at(chain[-1]).sizes[chain[-1].index] for chain in chains]))

    def _number(self, chain: Chain) -> int:
        """That of the latest view in the chain that has one, or a new one; kept for the present face."""
        given = (self._at(sight).numbers[sight.index] for sight in reversed(chain[:-1]))
        number = next((known for known in given if known >= 0), -1)
        now = self._memory[-1].numbers
        if number < 0 or number in now:
            number, self._next = self._next, self._next + 1
        now[chain[-1].index] = number
        return number


def linked(expected: Seen, seen: Seen) -> dict[int, int]:
    """Which of the expected faces each of the seen ones is; the best pairs are made first."""
    pairs: dict[int, int] = {}
    if not seen.faces:
        return pairs
    cost = costs(expected, seen)
    for place in np.argsort(cost, axis=None, kind="stable")[: int(np.isfinite(cost).sum())]:
        old, new = divmod(int(place), len(seen.faces))
        if new not in pairs and old not in pairs.values():
            pairs[new] = old
    return pairs


def costs(expected: Seen, seen: Seen) -> Points:
    """How badly faces fit, N M: how far the landmarks are, in sizes of the face, and what the boxes do not share.

    Infinite where they are too far or too unlike in size.
    """
    size = expected.sizes[:, None]
    apart = np.linalg.norm(expected.points[:, None] - seen.points, axis=3).mean(2) / size
    common = np.stack([shared(box, seen.boxes) for box in expected.boxes])
    together = _areas(expected)[:, None] + _areas(seen) - common
    fits = (apart < NEAR) & (seen.sizes < size * RESIZE) & (seen.sizes > size / RESIZE)
    cost: Points = np.where(fits, apart + 1 - common / np.maximum(together, 1e-6), np.inf)
    return cost


def _areas(seen: Seen) -> NDArray[np.float32]:
    width, height = seen.boxes[:, 2] - seen.boxes[:, 0], seen.boxes[:, 3] - seen.boxes[:, 1]
    return width * height
