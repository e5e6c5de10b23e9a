"""The nouns that travel through the stages.

Shape letters, used as suffixes and in docstrings everywhere:
    N  frames in a batch      H  height in pixels      W  width in pixels
    C  channels, RGB order    h, w  height and width of a subsampled chroma plane
    s  scale of the network

Planes are NumPy arrays, one per component, in the order Y U V, or R G B, or Y alone, then alpha if there is one. They
are uint8 up to 8 bits and uint16 in native byte order above, with the value in the low bits. Time is an integer pts in
units of the stream's time base; a duration of 0 means unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Plane = NDArray[Any]
"""H W or h w, uint8 or uint16."""

Siting = Literal["left", "center", "topleft", "top"]
"""Where a chroma sample lies among the luma samples it covers (H.273 chroma sample location 0, 1, 2, 3)."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How the components of a picture are stored, without the padding and packing of a particular pixel format.

    `depth` is in bits per component, 8 to 16. `log2_w` and `log2_h` say by how many powers of two the chroma planes
    are smaller than the luma plane: 4:2:0 is (1, 1), 4:2:2 is (1, 0), 4:4:4, RGB and gray are (0, 0). `alpha` says that
    a last plane holds the transparency: straight, of the size of the first plane, 0 … `peak` whatever the range is.
    """

    family: Literal["yuv", "rgb", "gray"]
    depth: int = 8
    log2_w: int = 0
    log2_h: int = 0
    alpha: bool = False

    @property
    def colours(self) -> PixelLayout:
        """The layout of the planes without alpha."""
        return replace(self, alpha=False) if self.alpha else self

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self.depth <= 8 else np.uint16)

    @property
    def peak(self) -> int:
        """The largest code value, 2**depth - 1."""
        return (1 << self.depth) - 1

    def plane_sizes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """(height, width) of each plane; chroma sizes are rounded up, as in FFmpeg."""
        whole, small = (height, width), (-(-height >> self.log2_h), -(-width >> self.log2_w))
        colours = (whole,) if self.family == "gray" else (whole, small, small)
        return (*colours, whole) if self.alpha else colours


@dataclass(frozen=True, slots=True)
class ColorTags:
    """What the code values mean. `matrix`, `primaries`, `transfer` are code points of ITU-T H.273; 2 is unspecified."""

    matrix: int = 2
    full_range: bool | None = None
    """True: 0 … 2^depth-1 (JPEG range); False: 16 … 235 at 8 bits (MPEG range); None: not said."""
    primaries: int = 2
    transfer: int = 2
    siting: Siting | None = None


@dataclass(frozen=True, slots=True)
class Orientation:
    """How stored pixels become upright: mirror left-right first if `mirror`, then `turns` quarter turns clockwise."""

    turns: int = 0
    mirror: bool = False

    @property
    def swaps_sides(self) -> bool:
        return self.turns % 2 == 1


@dataclass(frozen=True, slots=True)
class HdrStatic:
    """HDR10 static metadata (SMPTE ST 2086 and CTA-861.3).

    Chromaticities are (x, y) of red, green, blue and white; luminances are in cd/m²; `max_cll` and `max_fall` are in
    cd/m², 0 when unknown.
    """

    chromaticities: tuple[tuple[Fraction, Fraction], ...] = ()
    luminance: tuple[Fraction, Fraction] | None = None
    """(minimum, maximum)"""
    max_cll: int = 0
    max_fall: int = 0


@dataclass(frozen=True, slots=True)
class VideoTraits:
    """What holds for every frame of a video stream, as its first frame and its container say."""

    width: int
    height: int
    layout: PixelLayout
    color: ColorTags
    time_base: Fraction
    rate: Fraction | None = None
    """Frames per second on average, None when unknown. Used for estimates and missing timestamps only."""
    sample_aspect: Fraction = field(default_factory=lambda: Fraction(1))
    orientation: Orientation = field(default_factory=Orientation)
    interlaced: bool = False
    alpha: bool = False
    """The stream has transparency; whether it is decoded and kept is said by `layout`."""
    hdr: HdrStatic | None = None

    def upright(self) -> VideoTraits:
        """The traits after the orientation was applied to the pixels."""
        if not self.orientation.swaps_sides:
            return replace(self, orientation=Orientation())
        return replace(
            self,
            width=self.height,
            height=self.width,
            sample_aspect=1 / self.sample_aspect,
            orientation=Orientation(),
        )


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels: rows top … bottom-1, columns left … right-1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def area(self) -> int:
        return self.height * self.width

    def times(self, scale: int) -> Box:
        return Box(self.top * scale, self.left * scale, self.bottom * scale, self.right * scale)

    def grown(self, margin: int, outer: Box) -> Box:
        """This box with `margin` pixels around it, as far as they lie in `outer`."""
        return Box(
            max(outer.top, self.top - margin),
            max(outer.left, self.left - margin),
            min(outer.bottom, self.bottom + margin),
            min(outer.right, self.right + margin),
        )

    def aligned(self, unit: int, outer: Box) -> Box:
        """The smallest box around this one whose sides lie at multiples of `unit`, or at the ends of `outer`."""
        bottom, right = -(-self.bottom // unit) * unit, -(-self.right // unit) * unit
        top, left = self.top // unit * unit, self.left // unit * unit
        return Box(top, left, min(bottom, outer.bottom), min(right, outer.right))

    def shrunk(self, down: int, across: int) -> Box:
        """The same part of a plane that is 2**down times less high and 2**across times less wide."""
        bottom, right = -(-self.bottom >> down), -(-self.right >> across)
        return Box(self.top >> down, self.left >> across, bottom, right)

    def divided(self, ratio: int) -> Box:
        """The same part of a picture that is `ratio` times smaller."""
        return Box(self.top // ratio, self.left // ratio, -(-self.bottom // ratio), -(-self.right // ratio))

    def of(self, array: Any) -> Any:
        """The view of a … H W array or tensor that this box covers."""
        return array[..., self.top : self.bottom, self.left : self.right]

    def within(self, outer: Box) -> Box:
        """This box in the coordinates of `outer`."""
        return Box(self.top - outer.top, self.left - outer.left, self.bottom - outer.top, self.right - outer.left)


@dataclass(frozen=True, slots=True)
class Tile:
    """`padded` is what the network sees, `core` the part of it that is kept; both in pixels of the frame."""

    core: Box
    padded: Box


class DevicePicture(Protocol):
    """A decoded picture of 4:2:0 in the memory of a device, where the host does not look at it."""

    @property
    def depth(self) -> int:
        """Bits per sample."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of the samples."""
        ...

    def capsules(self) -> tuple[Any, Any]:
        """DLPack capsules of the luma plane H W and of the chroma plane h w 2; each may be taken once."""
        ...


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A decoded picture: planes as they were stored, not upright, not converted."""

    planes: tuple[Plane, ...] | DevicePicture
    pts: int
    duration: int = 0

    @property
    def nbytes(self) -> int:
        planes = self.planes
        return sum(plane.nbytes for plane in planes) if isinstance(planes, tuple) else planes.nbytes


@dataclass(frozen=True, slots=True)
class Work:
    """A decoded picture and whether it needs the network: `held` ones equal the picture before in every sample."""

    frame: RawFrame
    held: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures in order of time, and the distinct ones among them as one tensor.

    `rows[i]` is the row of `rgb` that picture i shows; -1 means the last row of the batch before (a held picture).
    `rgb` is N C H W, RGB, [0, 1], in the dtype and on the device of the network; None when every row is -1.
    `boxes` are the parts of it that may differ from the last row of the batch before, in pixels of `rgb`; None stands
    for all of it.
    """

    frames: tuple[RawFrame, ...]
    rows: tuple[int, ...]
    rgb: Tensor | None
    boxes: tuple[Box, ...] | None = None


@dataclass(frozen=True, slots=True)
class UpscaledFrame:
    """A finished picture: planes in the layout of the encoder. Held pictures share their planes.

    Where the encoder reads them on the device, they are the luma H W and the chroma h w 2 of NV12 or P010.
    """

    planes: tuple[Plane, ...] | tuple[Tensor, ...]
    pts: int
    duration: int = 0

    @property
    def nbytes(self) -> int:
        return sum(plane.nbytes for plane in self.planes)
