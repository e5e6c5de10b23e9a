"""What a user chooses of the data. A docstring under a field is its help text. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..strict import Strict


class _Set(Strict):
    """What all kinds of data have."""

    weight: float = Field(default=1.0, gt=0)
    """How often samples come from this set, relative to the others."""
    gt_size: int = Field(default=256, ge=8, le=4096)
    """Side of a training crop of the large picture, in pixels; a multiple of the scale."""
    hflip: bool = True
    """Mirror half of the samples left to right."""
    rotate: bool = False
    """Mirror half of the samples upside down, and swap rows and columns of half of them."""
    max_bad: float = Field(default=0.05, ge=0, le=1)
    """Share of files that may be unreadable before the run is given up; those below it are told and left out."""


class _Whole(_Set):
    """Data that has to be degraded."""

    crop_pad: int = Field(default=400, ge=8, le=8192)
    """Side of what the classic degradation gets, in pixels, cropped to `gt_size` afterwards; 400 in the reference."""
    window: int | None = Field(default=None, ge=16)
    """Side of the part of a frame that a video degradation gets, in pixels; the whole frame when not given."""


class Root(Strict):
    """A folder of pictures."""

    path: Path
    """The folder; those inside it are searched too."""
    weight: float = Field(default=1.0, gt=0)
    """How often each of its pictures is seen, relative to those of other roots of the set."""


class VideoData(_Whole):
    """Clips of films, read from the video files themselves."""

    kind: Literal["video"] = "video"
    paths: tuple[Path, ...] = Field(min_length=1)
    """Films, or folders of them."""
    frames: int = Field(default=1, ge=1, le=100)
    """Frames of a clip."""
    stride: tuple[Annotated[int, Field(ge=1, le=60)], ...] = Field(default=(1,), min_length=1)
    """Steps between the frames of a clip, one of them drawn per clip; AnimeSR has 1, 2, 3."""
    reverse: bool = False
    """Show half of the clips backwards."""
    start: float = Field(default=0.0, ge=0)
    """Seconds of each film before which nothing is drawn."""
    end: float | None = Field(default=None, gt=0)
    """Seconds of each film from which on nothing is drawn; its end when not given."""
    skip: tuple[tuple[float, float], ...] = ()
    """Ranges of seconds that are never drawn: openings, credits, scenes held out for validation."""
    still: Literal["avoid", "keep"] = "avoid"
    """Whether frames that repeat the one before may begin a clip, and clips in which nothing moves be drawn."""
    scene_threshold: float = Field(default=1.0, gt=0, le=10)
    """Factor on the difference between two frames that makes a cut; below 1 more are found."""
    flat_share: float = Field(default=0.95, gt=0, le=1)
    """A frame is left out as black or blank when this share of it has one brightness; 1 keeps all but pure ones."""
    reuse: int = Field(default=4, ge=1, le=1000)
    """Samples drawn from each decoded stretch of film: more is faster, less is more varied."""
    stretch: int = Field(default=16, ge=0, le=1000)
    """Frames in which clips of one decoded stretch may begin, beyond the first."""
    lanes: int = Field(default=16, ge=1, le=4096)
    """Stretches that are drawn from in turn, so that neighbours in a batch come from different places."""
    cache_mb: int = Field(default=1024, ge=1)
    """Memory for decoded frames in MB, of all loader processes together."""

    @model_validator(mode="after")
    def _ranges(self) -> VideoData:
        for begin, end in (*self.skip, (self.start, self.end if self.end is not None else float("inf"))):
            if not 0 <= begin < end:
                raise ValueError(f"a range of seconds must rise from 0 on, {begin:g} to {end:g} does not")
        return self


class PictureData(_Whole):
    """Pictures in folders."""

    kind: Literal["pictures"] = "pictures"
    roots: tuple[Path | Root, ...] = Field(min_length=1)
    """Folders of pictures, each a path, or a path and a weight."""
    meta_info: Path | None = None
    """A list of the pictures to take, one a line, relative to the only root, as the reference's scripts write it."""
    reuse: int = Field(default=1, ge=1, le=1000)
    """Samples drawn from each decoded picture: more is faster, less is more varied."""
    lanes: int = Field(default=16, ge=1, le=4096)
    """Pictures that are drawn from in turn where `reuse` is above 1."""
    cache_mb: int = Field(default=512, ge=1)
    """Memory for decoded pictures in MB, of all loader processes together; used where `reuse` is above 1."""

    @model_validator(mode="after")
    def _one_root(self) -> PictureData:
        if self.meta_info and len(self.roots) > 1:
            raise ValueError(f"meta_info goes with one root, not with {len(self.roots)}")
        return self

    @property
    def weighted(self) -> tuple[Root, ...]:
        """All roots with their weights."""
        return tuple(root if isinstance(root, Root) else Root(path=root) for root in self.roots)


class PairedData(_Set):
    """Pairs of pictures: the small one is the large one as it was degraded in truth."""

    kind: Literal["paired"] = "paired"
    gt: Path
    """Folder of the large pictures."""
    lq: Path
    """Folder of the small ones, with the same names, whatever their endings."""
    lq_suffix: str = ""
    """What the names of the small ones have behind those of the large ones, such as x4."""
    meta_info: Path | None = None
    """A list of pairs, one a line, `gt, lq`, each relative to its folder."""


class LmdbData(_Whole):
    """Pictures, or pairs of them, in LMDB folders as the reference's scripts make them. Needs the extra `lmdb`."""

    kind: Literal["lmdb"] = "lmdb"
    gt: Path
    """Folder, whose name ends in .lmdb, of the large pictures, with its meta_info.txt."""
    lq: Path | None = None
    """Folder of the small ones with the same keys; without it the large ones are degraded."""


DataOptions = Annotated[VideoData | PictureData | PairedData | LmdbData, Field(discriminator="kind")]
"""One set of a run."""
