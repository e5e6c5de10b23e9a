"""Options of the steps that a video degradation is composed of, codecs apart. Imports no torch.

Lengths are in pixels of the frame that the step gets, strengths in codes of 0 … 255 unless a field says otherwise. A
range is drawn from once per clip; `walk` fields say by how much the value may then move from one frame to the next.
§ numbers of sources: AnimeSR (Wu et al., 2022), RealBasicVSR (Chan et al., 2022), APISR (Wang et al., 2024),
Real-ESRGAN (Wang et al., 2021). Ranges "of our own" are what looks like sources seen in the wild; none was published.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import NonNegativeFloat

from ..strict import Strict
from .ranges import Probability, Range, Weighted, weights, within

Filter = Literal["nearest", "area", "bilinear", "bicubic", "lanczos"]
Shape = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"]
Deinterlacing = Literal["weave", "bob", "linear", "blend"]


class Step(Strict):
    """What every step has."""

    probability: Probability = 1.0
    """How likely the step happens to a clip; inside of `one_of` its weight among the others."""


class Blur(Step):
    """A blur by an optic or a scaler. Defaults of AnimeSR; other shapes of Real-ESRGAN; walks of RealBasicVSR."""

    kind: Literal["blur"] = "blur"
    shapes: Annotated[dict[Shape, float], Weighted] = weights(lambda: {"iso": 0.7, "aniso": 0.3})
    """Weights of the kernel's shapes; iso is round, aniso elongated, sinc rings."""
    sigma: Annotated[Range, within(0.05, 20)] = (0.2, 4.0)
    """Standard deviation of round kernels."""
    elongated: Annotated[Range, within(0.05, 20)] = (0.8, 3.0)
    """Standard deviations of elongated kernels along their two axes."""
    beta_generalized: Annotated[Range, within(0.1, 10)] = (0.5, 4.0)
    beta_plateau: Annotated[Range, within(0.1, 10)] = (1.0, 2.0)
    """Exponents of generalized and plateau kernels, as in `classic`."""
    cutoff: Annotated[Range, within(0.5, math.pi)] = (math.pi / 3, math.pi)
    """Of sinc kernels, in radians per pixel."""
    walk: NonNegativeFloat = 0.02
    """Change of a standard deviation per frame at most."""
    turn: NonNegativeFloat = 0.314
    """Change of the angle per frame at most, in radians."""
    exponent_walk: NonNegativeFloat = 0.05
    """Change of an exponent, and of the cut-off, per frame at most."""


class Noise(Step):
    """Noise of a sensor or a line, new in each frame. Gaussian range of AnimeSR, Poisson of Real-ESRGAN."""

    kind: Literal["noise"] = "noise"
    poisson: Probability = 0.0
    """How likely it is Poisson noise, which grows with the light, rather than Gaussian."""
    sigma: Annotated[Range, within(0, 100)] = (0.0, 10.0)
    """Standard deviation of Gaussian noise."""
    scale: Annotated[Range, within(0, 10)] = (0.05, 3.0)
    """Strength of Poisson noise: 1 is one photon per code."""
    gray: Probability = 0.5
    """How likely all three channels get the same noise."""
    walk: NonNegativeFloat = 0.1
    """Change of `sigma` per frame at most."""
    scale_walk: NonNegativeFloat = 0.005
    """Change of `scale` per frame at most (RealBasicVSR)."""


class Grain(Step):
    """Film grain: blotches of some size, new in each frame, strongest in the middle tones, mostly in the luma.

    After the model of film grain synthesis in AV1 (Norkin and Birkbeck, 2018): noise of a given spectrum times a
    function of the luma. Ranges of our own.
    """

    kind: Literal["grain"] = "grain"
    strength: Annotated[Range, within(0, 50)] = (1.0, 7.0)
    """Standard deviation at a luma of one half."""
    size: Annotated[Range, within(0, 5)] = (0.3, 1.1)
    """Standard deviation of the Gaussian that white noise is blurred with."""
    chroma: Annotated[Range, within(0, 1)] = (0.0, 0.3)
    """Strength in the chroma, as a share of that in the luma."""
    walk: NonNegativeFloat = 0.1
    """Change of `strength` per frame at most."""


class Halo(Step):
    """Oversharpening: unsharp masking until bright and dark rims stand beside each edge.

    In broadcasts and on DVDs it is often horizontal only, from the aperture correction of a telecine. Kinds of
    wtp_dataset_destroyer and video-destroyer, ranges of our own.
    """

    kind: Literal["halo"] = "halo"
    radius: Annotated[Range, within(0.3, 20)] = (0.8, 2.5)
    """Standard deviation of the mask's Gaussian."""
    amount: Annotated[Range, within(0, 10)] = (0.4, 1.8)
    """How many times the difference to the blurred frame is added."""
    horizontal: Probability = 0.3
    """How likely only vertical edges are sharpened."""


class Echo(Step):
    """A second, weaker picture beside the first, from a line that reflects or an aerial that receives twice.

    Kind of video-destroyer (ghosting), ranges of our own.
    """

    kind: Literal["echo"] = "echo"
    delay: Annotated[Range, within(0, 0.5)] = (0.004, 0.025)
    """How far to the right, as a share of the width."""
    gain: Annotated[Range, within(-0.6, 0.6)] = (-0.15, 0.25)
    """Strength of the second picture; below 0 it is a negative."""
    softness: Annotated[Range, within(0, 10)] = (0.3, 1.5)
    """Standard deviation of its horizontal blur."""


class FrameBlend(Step):
    """Frames mixed with their neighbours: by a conversion of the frame rate, or as trails of a noise reducer.

    Kind of video-destroyer (ghosting), ranges of our own.
    """

    kind: Literal["frame_blend"] = "frame_blend"
    trails: Probability = 0.5
    """How likely a frame keeps a share of all that came before, rather than gets one of the frame that follows."""
    share: Annotated[Range, within(0, 0.9)] = (0.1, 0.45)
    """How much of a frame is not its own."""
    period: Annotated[Range, within(1, 30)] = (1.0, 5.0)
    """Mixes with the following frame come round once in this many frames; 1 mixes all. Trails are in all."""


class Interlace(Step):
    """Two fields of different times in a frame, and what a bad deinterlacer makes of it.

    Kind of video-destroyer, shares of our own. The second field is taken from the frame that follows.
    """

    kind: Literal["interlace"] = "interlace"
    bottom_first: Probability = 0.3
    """How likely the lower field is the earlier one."""
    telecine: Probability = 0.4
    """How likely only 2 of 5 frames hold two times, as 3:2 pulldown of film makes them, rather than all."""
    deinterlacing: Annotated[dict[Deinterlacing, float], Weighted] = weights(
        lambda: {"weave": 0.25, "bob": 0.2, "linear": 0.25, "blend": 0.3}
    )
    """weave: left as it is, with combs; bob: one field with its lines doubled; linear: one field with lines between
    interpolated; blend: lines averaged with their neighbours, both times at once."""
    alternating: Probability = 0.3
    """How likely bob and linear take the fields in turns, so that the picture trembles, rather than always one."""


class Composite(Step):
    """A way through composite video: luma and a modulated colour carrier on one wire, then separated again.

    Carrier frequencies, phases and matrix of SMPTE 170M (NTSC) and ITU-R BT.1700 (PAL); shares of our own. Rainbows on
    fine patterns and dot crawl along coloured edges come from the separation, as they did in a real decoder.
    """

    kind: Literal["composite"] = "composite"
    pal: Probability = 0.35
    """How likely it is PAL rather than NTSC."""
    comb: Probability = 0.4
    """How likely luma and chroma are separated by a comb of lines rather than by a notch."""
    interlaced: Probability = 0.6
    """How likely rows of a frame belong to two fields in turns, which decides the pattern of the dots."""
    chroma_bandwidth: Annotated[Range, within(0.2, 2)] = (0.5, 1.3)
    """Of the coder and of the decoder, in MHz."""
    notch: Annotated[Range, within(0.1, 2)] = (0.3, 1.2)
    """Half the width of the notch, in MHz: a narrow one leaves dots, a wide one takes detail."""
    noise: Annotated[Range, within(0, 0.2)] = (0.0, 0.012)
    """Standard deviation of the noise on the wire, white being 1."""


class ChromaShift(Step):
    """Colours beside their place and smeared along the line, as by a delay in the chroma path or by tape.

    Kind of video-destroyer (chroma delay), ranges of our own.
    """

    kind: Literal["chroma_shift"] = "chroma_shift"
    across: Annotated[Range, within(-20, 20)] = (-2.0, 3.0)
    down: Annotated[Range, within(-20, 20)] = (-0.7, 0.7)
    bleed: Annotated[Range, within(0, 20)] = (0.0, 2.5)
    """Standard deviation of a horizontal blur of the chroma."""
    walk: NonNegativeFloat = 0.02
    """Change of the shifts per frame at most."""


class Siting(Step):
    """Chroma subsampled as lying in one place and brought back as lying in another (H.273 chroma sample location)."""

    kind: Literal["siting"] = "siting"
    again: Probability = 0.3
    """How likely the mistake is made a second time, as by a second conversion."""


class Matrix(Step):
    """BT.601 decoded as BT.709 or the other way round. Rare by default: the network cannot undo what it cannot see."""

    kind: Literal["matrix"] = "matrix"
    probability: Probability = 0.05
    as_709: Probability = 0.5
    """How likely the picture was BT.601 and is taken for BT.709."""


class LevelRange(Step):
    """Limited range taken for full, which washes out, or full taken for limited, which crushes. Rare by default."""

    kind: Literal["level_range"] = "level_range"
    probability: Probability = 0.03
    crushed: Probability = 0.5
    """How likely full range is taken for limited."""


class Banding(Step):
    """Too few steps of brightness and colour, without dither: contours in gradients. Range of our own."""

    kind: Literal["banding"] = "banding"
    levels: Annotated[Range, within(2, 256)] = (24, 96)
    """Steps of luma, and of each chroma, that are left."""


class Dither(Step):
    """Few steps per channel, with a pattern that hides them. Kind of wtp_dataset_destroyer, range of our own."""

    kind: Literal["dither"] = "dither"
    levels: Annotated[Range, within(2, 256)] = (16, 64)
    bayer: Probability = 0.5
    """How likely the pattern is Bayer's 8 x 8 matrix, the same in each frame, rather than noise, new in each."""


class Resize(Step):
    """A change of size that the following steps keep. Filters of AnimeSR, range of our own within Real-ESRGAN's."""

    kind: Literal["resize"] = "resize"
    factor: Annotated[Range, within(0.05, 4)] = (0.5, 1.5)
    """Of both sides."""
    filters: Annotated[dict[Filter, float], Weighted] = weights(lambda: {"area": 0.3, "bilinear": 0.3, "bicubic": 0.4})
    antialias: Probability = 0.5
    """How likely a filter that shrinks is stretched to do it without aliasing, as video scalers do it; training code
    (OpenCV, torch) usually does not."""


class Upscaled(Step):
    """A lower native resolution: made smaller, and larger again by whatever the publisher had. Range of our own."""

    kind: Literal["upscaled"] = "upscaled"
    factor: Annotated[Range, within(0.1, 1)] = (0.45, 0.9)
    """Native size as a share of the frame's: 480 lines shown as 1080 are 0.44, 720 as 1080 are 0.67."""
    down: Annotated[dict[Filter, float], Weighted] = weights(lambda: {"area": 0.3, "bicubic": 0.4, "lanczos": 0.3})
    up: Annotated[dict[Filter, float], Weighted] = weights(
        lambda: {"nearest": 0.05, "bilinear": 0.35, "bicubic": 0.4, "lanczos": 0.2}
    )


class Shrink(Step):
    """The resize to the size of the network's input; a chain holds it once. Filters of AnimeSR."""

    kind: Literal["shrink"] = "shrink"
    filters: Annotated[dict[Filter, float], Weighted] = weights(
        lambda: {"area": 0.3, "bilinear": 0.3, "bicubic": 0.35, "lanczos": 0.05}
    )
    antialias: Probability = 0.5
    """As that of `resize`."""


class Still(Step):
    """Each frame on its own as a JPEG or WebP picture. Shares and qualities of APISR, walk of RealBasicVSR."""

    kind: Literal["still"] = "still"
    webp: Probability = 0.4
    quality: Annotated[Range, within(1, 100)] = (30, 95)
    walk: NonNegativeFloat = 3.0
    """Change of the quality per frame at most."""
