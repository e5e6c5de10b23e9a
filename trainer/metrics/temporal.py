"""What happens from one frame to the next: the faults that a network which sees single frames makes.

Flow is that of Kroeger et al., "Fast optical flow using dense inverse search", 2016, as OpenCV has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from .frames import Array, Floats, as_clip, as_pair, luma, mean_known
from .options import Better
from .options import Flicker as FlickerOptions
from .options import Tof as TofOptions
from .options import WarpingError as WarpingErrorOptions

Flow = NDArray[np.float32]
"""H W 2: how many pixels to the right and down what is here moves."""

SMALLEST = 16
"""Pixels of a side below which OpenCV's flow refuses a picture."""
BLOCK = 16
STILL = 1.0
"""Mean change in codes of 8 bits below which a block of the ground truth stands still: less than a decoder's noise."""


class WarpingError:
    """Lai et al., "Learning blind video temporal consistency", 2018: the mean squared difference, in [0, 1], of each
    frame and the next one brought back to it, over pixels that are not hidden in either.

    Motion and hidden places are those of the ground truth, or of the output itself where there is none. Lai's flow was
    FlowNet2; figures compare only with those of the same flow.
    """

    better: ClassVar[Better] = "lower"
    needs_gt, temporal = False, True

    def __init__(self, options: WarpingErrorOptions) -> None:
        self.name = options.name

    def __call__(self, output: Array, gt: Array | None = None) -> float:
        """See `frames.Metric`; NaN when everything is hidden."""
        clip = as_clip(output)
        flow = _flow_of(_codes(clip if gt is None else as_pair(output, gt)[1]))
        steps = [_warping_error(clip[step], clip[step + 1], *flow(step)) for step in range(len(clip) - 1)]
        return mean_known(steps)


class Tof:
    """tOF of Chu et al., "Learning temporal coherence via self-supervision for GAN-based video generation", 2020: the
    mean length, in pixels, of the difference between the flows of the output and of the ground truth.

    Their flow was Farnebäck's; figures compare only with those of the same flow.
    """

    better: ClassVar[Better] = "lower"
    needs_gt, temporal = True, True

    def __init__(self, options: TofOptions) -> None:
        self.name = options.name

    def __call__(self, output: Array, gt: Array | None = None) -> float:
        """See `frames.Metric`."""
        first, second = (_codes(clip) for clip in as_pair(output, gt))
        search = _searcher(*first.shape[1:])
        apart = [
            search(first[step], first[step + 1]) - search(second[step], second[step + 1])
            for step in range(len(first) - 1)
        ]
        return mean_known([float(np.linalg.norm(step, axis=-1).mean()) for step in apart])


class Flicker:
    """The change of luma from frame to frame beyond that of the ground truth, in codes of 8 bits, in blocks of 16x16
    where the ground truth stands still: the mean of max(0, |change of output| - |change of ground truth|).

    The still blocks are those of Fan et al., "Flicking reduction in all intra frame coding", JVT-E070, 2002; the
    difference of changes is that of Yang, Boyce and Stein, "Effective flicker removal from periodic intra frames and
    accurate flicker measurement", 2008.
    """

    better: ClassVar[Better] = "lower"
    needs_gt, temporal = True, True

    def __init__(self, options: FlickerOptions) -> None:
        self.name = options.name

    def __call__(self, output: Array, gt: Array | None = None) -> float:
        """See `frames.Metric`; NaN when nothing stands still."""
        ours, theirs = (np.abs(np.diff(luma(clip), axis=0)) for clip in as_pair(output, gt))
        beyond = np.concatenate([np.empty(0), *(_beyond(*pair) for pair in zip(ours, theirs, strict=True))])
        return float(beyond.mean()) if beyond.size else float("nan")


def _beyond(ours: Floats, theirs: Floats) -> Floats:
    """The means of blocks that stand still; `ours` and `theirs` are H W, the changes of one frame. Rests at the right
    and at the bottom that fill no block are left out, unless the picture is smaller than a block."""
    still = _blocks(theirs).mean(axis=1) < STILL
    return np.asarray(_blocks(np.maximum(ours - theirs, 0)).mean(axis=1)[still])


def _blocks(plane: Floats) -> Floats:
    """N B: the samples of each block."""
    height, width = (min(BLOCK, side) for side in plane.shape)
    rows, columns = plane.shape[0] // height, plane.shape[1] // width
    whole = plane[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return whole.swapaxes(1, 2).reshape(rows * columns, height * width)


def _codes(clip: Floats) -> NDArray[np.uint8]:
    """T H W: luma as the flow takes it."""
    return np.rint(luma(clip)).astype(np.uint8)


def _searcher(height: int, width: int) -> Callable[[Array, Array], Flow]:
    """The flow of two planes of that size, which are made larger at the far sides where OpenCV wants more."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    more = max(0, SMALLEST - height), max(0, SMALLEST - width)

    def flow(first: Array, second: Array) -> Flow:
        larger = [np.pad(plane, [(0, more[0]), (0, more[1])], mode="edge") for plane in (first, second)]
        found = np.asarray(search.calc(larger[0], larger[1], None), np.float32)  # type: ignore[call-overload]
        return found[:height, :width]

    return flow


def _flow_of(codes: NDArray[np.uint8]) -> Callable[[int], tuple[Flow, Flow]]:
    """The flows from frame `step` to the next and back."""
    search = _searcher(*codes.shape[1:])
    return lambda step: (search(codes[step], codes[step + 1]), search(codes[step + 1], codes[step]))


def _warping_error(now: Floats, then: Floats, onward: Flow, back: Flow) -> float:
    seen = visible(onward, back)
    apart = (now - warp(then, onward)) ** 2
    return float(apart[seen].mean()) if seen.any() else float("nan")


def warp(frame: Floats, flow: Flow) -> Floats:
    """`frame`, H W C, brought back by `flow`: each place gets what lies where its content went. Bilinear; what comes
    from outside repeats the edge."""
    x, y = _targets(flow)
    return np.asarray(cv2.remap(frame, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float64)


def visible(onward: Flow, back: Flow) -> NDArray[np.bool_]:
    """H W: where the way on and back ends at its start, the motion has no border, and the target is in the picture.

    The two conditions and their constants are those of Ruder et al., "Artistic style transfer for videos", 2016, after
    Sundaram et al., 2010; Lai et al. use them too.
    """
    returned = warp(back.astype(np.float64), onward)
    open_gap = ((onward + returned) ** 2).sum(-1) > 0.01 * ((onward**2).sum(-1) + (returned**2).sum(-1)) + 0.5
    slope = sum((np.gradient(onward, axis=axis) ** 2).sum(-1) for axis in (0, 1))
    border = slope > 0.01 * (onward**2).sum(-1) + 0.002
    x, y = _targets(onward)
    inside = (x >= 0) & (y >= 0) & (x <= onward.shape[1] - 1) & (y <= onward.shape[0] - 1)
    seen: NDArray[np.bool_] = ~open_gap & ~border & inside
    return seen


def _targets(flow: Flow) -> Iterator[Flow]:
    """The columns and rows, H W each, where what is here goes."""
    rows, columns = np.indices(flow.shape[:2], dtype=np.float32)
    yield columns + flow[..., 0]
    yield rows + flow[..., 1]
