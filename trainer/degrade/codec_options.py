"""Options of the codec step: which coders, how coarse, in what structure of pictures. Imports no torch.

Ranges are the union of what AnimeSR, APISR, RealBasicVSR and the community's tools (Dataset Destroyer,
wtp_dataset_destroyer, video-destroyer) use; shares are our own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, model_validator

from ..strict import Strict
from .ranges import Probability, Range, Weighted, Whole, weights, within
from .step_options import Step

Sampling = Literal["420", "422", "444"]
Speed = Literal["slow", "medium", "fast", "faster", "veryfast", "superfast", "ultrafast"]
Profile = Literal["baseline", "main", "high"]


def _speeds() -> dict[Speed, float]:
    """Presets of x264 and x265 with the shares of APISR."""
    return {"slow": 0.05, "medium": 0.35, "fast": 0.3, "faster": 0.2, "superfast": 0.1}


class Coder(Strict):
    """What the options of all coders have."""

    weight: NonNegativeFloat = 1.0
    """Share among the coders."""
    bits: Annotated[Range, within(0.001, 24)] = (0.05, 0.5)
    """Bits per pixel where a clip is coded at a bit rate; each octave is as likely."""


class Mpeg2(Coder):
    """MPEG-2 by FFmpeg's encoder: DVDs and broadcasts."""

    quality: Annotated[Range, within(1, 31)] = (2, 20)
    """Quantiser scale, larger is coarser."""
    bits: Annotated[Range, within(0.001, 24)] = (0.2, 1.2)
    """0.5 is a DVD of 5 Mbit/s."""
    interlaced: Probability = 0.3
    """How likely blocks may be coded by fields."""


class Mpeg4(Coder):
    """MPEG-4 part 2 (DivX, Xvid) by FFmpeg's encoder."""

    weight: NonNegativeFloat = 0.5
    quality: Annotated[Range, within(1, 31)] = (2, 20)
    """Quantiser scale, larger is coarser."""
    bits: Annotated[Range, within(0.001, 24)] = (0.1, 0.8)


class H264(Coder):
    """H.264 by x264. Profiles of AnimeSR."""

    weight: NonNegativeFloat = 2.0
    quality: Annotated[Range, within(0, 51)] = (18, 38)
    """CRF, larger is coarser."""
    presets: Annotated[dict[Speed, float], Weighted] = weights(_speeds)
    profiles: Annotated[dict[Profile, float], Weighted] = weights(lambda: {"baseline": 0.1, "main": 0.2, "high": 0.7})
    """Of 4:2:0; other samplings have one profile each."""


class Hevc(Coder):
    """HEVC by x265."""

    quality: Annotated[Range, within(0, 51)] = (22, 42)
    """CRF, larger is coarser."""
    bits: Annotated[Range, within(0.001, 24)] = (0.03, 0.3)
    presets: Annotated[dict[Speed, float], Weighted] = weights(_speeds)


class Vp9(Coder):
    """VP9 by libvpx."""

    quality: Annotated[Range, within(0, 63)] = (22, 40)
    """CRF, larger is coarser."""
    bits: Annotated[Range, within(0.001, 24)] = (0.03, 0.3)
    speed: Annotated[Whole, within(0, 8)] = (3, 6)
    """libvpx's cpu-used, larger is faster."""


class Av1(Coder):
    """AV1 by SVT-AV1; it codes 4:2:0 only."""

    weight: NonNegativeFloat = 0.5
    quality: Annotated[Range, within(1, 63)] = (25, 45)
    """CRF, larger is coarser."""
    bits: Annotated[Range, within(0.001, 24)] = (0.02, 0.25)
    speed: Annotated[Whole, within(0, 13)] = (6, 9)
    """SVT-AV1's preset, larger is faster."""


class Codec(Step):
    """The clip through a real encoder and decoder, in memory.

    A coder that is null, or that this build of FFmpeg lacks, is never drawn.
    """

    kind: Literal["codec"] = "codec"
    mpeg2: Mpeg2 | None = Mpeg2()
    mpeg4: Mpeg4 | None = Mpeg4()
    h264: H264 | None = H264()
    hevc: Hevc | None = Hevc()
    vp9: Vp9 | None = Vp9()
    av1: Av1 | None = Av1()
    by_bit_rate: Probability = 0.25
    """How likely a clip is coded at a bit rate (`bits` of the coder), rather than at a quality."""
    gop: Annotated[Whole, within(1, 600)] = (1, 60)
    """Distance of key frames, in frames."""
    b_frames: Annotated[Whole, within(0, 4)] = (0, 3)
    """Bidirectional frames in a row at most, of MPEG-2, MPEG-4, H.264 and HEVC."""
    lead: Annotated[Whole, within(0, 30)] = (0, 3)
    """Frames that are coded before the clip and thrown away, so that it does not always begin with a key frame: the
    clip's own, mirrored in time; of a single frame, pans over it."""
    tail: Annotated[Whole, within(0, 30)] = (0, 1)
    """Such frames after the clip, so that its last one can be bidirectional."""
    sampling: Annotated[dict[Sampling, float], Weighted] = weights(lambda: {"420": 0.94, "422": 0.03, "444": 0.03})
    """Chroma subsampling, drawn among those that the coder has."""
    bt601: Probability = 0.5
    """How likely the matrix is BT.601 rather than BT.709; it is undone by the same."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 4
    """Draws of parameters before a clip whose coding fails is left as it is, which is counted."""

    @model_validator(mode="after")
    def _check_some(self) -> Codec:
        if not any(coder.weight for coder in self.coders.values()):
            raise ValueError("should leave at least one coder with a weight above 0")
        return self

    @property
    def coders(self) -> dict[str, Mpeg2 | Mpeg4 | H264 | Hevc | Vp9 | Av1]:
        """The coders that are wanted, by name."""
        named = {
            "mpeg2": self.mpeg2, "mpeg4": self.mpeg4, "h264": self.h264, "hevc": self.hevc, "vp9": self.vp9,
            "av1": self.av1,
        }  # fmt: skip
        return {name: coder for name, coder in named.items() if coder is not None}
