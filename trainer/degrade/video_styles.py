"""Named video degradations, of our own making from the ranges of others. Imports no torch.

mild        a good release: clean scaling, a modern codec at a fair quality
broadcast   television and DVDs of the nineties and after: composite sources, combs, halos, MPEG-2
web         re-uploads: lower native resolution, one or two modern codecs at low rates
strong      the second-order chain of Real-ESRGAN with the codecs of APISR in its last group
"""

from __future__ import annotations

from collections.abc import Callable

from .codec_options import H264, Av1, Codec, Hevc, Mpeg2, Vp9
from .step_options import (
    Banding,
    Blur,
    ChromaShift,
    Composite,
    Dither,
    Echo,
    FrameBlend,
    Grain,
    Halo,
    Interlace,
    LevelRange,
    Matrix,
    Noise,
    Resize,
    Shape,
    Shrink,
    Siting,
    Still,
    Upscaled,
)
from .video_options import AnyStep, OneOf, Shuffle, Style

_FAMILY: dict[Shape, float] = {
    "iso": 0.405, "aniso": 0.225, "generalized_iso": 0.108, "generalized_aniso": 0.027, "plateau_iso": 0.108,
    "plateau_aniso": 0.027, "sinc": 0.1,
}  # fmt: skip
"""The shares of Real-ESRGAN's kernels."""


def mild() -> tuple[AnyStep, ...]:
    """Little that hurts: what a network meets that is fed from good discs and streams."""
    codec = Codec(
        mpeg2=Mpeg2(weight=0.3, quality=(2, 5), bits=(0.5, 1.5)),
        mpeg4=None,
        h264=H264(quality=(16, 26), bits=(0.15, 0.6)),
        hevc=Hevc(quality=(18, 28), bits=(0.1, 0.4)),
        vp9=Vp9(quality=(20, 30), bits=(0.1, 0.4)),
        av1=Av1(quality=(20, 32), bits=(0.08, 0.3)),
    )
    return (
        Blur(probability=0.3, sigma=(0.2, 0.9), elongated=(0.2, 0.9)),
        Upscaled(probability=0.25, factor=(0.65, 0.95), up={"bilinear": 0.3, "bicubic": 0.5, "lanczos": 0.2}),
        Shrink(antialias=0.8),
        Halo(probability=0.1, amount=(0.2, 0.6)),
        Grain(probability=0.15, strength=(0.5, 3)),
        OneOf(steps=(Still(probability=0.15, quality=(75, 98)), codec.model_copy(update={"probability": 0.85}))),
    )


def broadcast() -> tuple[AnyStep, ...]:
    """An analogue past and MPEG-2."""
    discs = Codec(
        mpeg2=Mpeg2(weight=3.0, quality=(2, 14), interlaced=0.5), mpeg4=None, h264=H264(weight=0.6), hevc=None,
        vp9=None, av1=None, by_bit_rate=0.4, gop=(6, 18), b_frames=(0, 2), bt601=0.9,
    )  # fmt: skip
    return (
        Blur(probability=0.4, sigma=(0.2, 1.6), elongated=(0.3, 1.6)),
        Grain(probability=0.35),
        FrameBlend(probability=0.1),
        Shrink(antialias=0.7),
        Composite(probability=0.35),
        ChromaShift(probability=0.35),
        Echo(probability=0.08),
        Halo(probability=0.4),
        Noise(probability=0.3, sigma=(0.5, 6)),
        Interlace(probability=0.35),
        Siting(probability=0.2),
        Matrix(),
        LevelRange(),
        discs,
    )


def web() -> tuple[AnyStep, ...]:
    """Copies of copies."""
    first = Codec(mpeg2=None, mpeg4=None, vp9=Vp9(quality=(26, 52)), av1=Av1(weight=0.4, quality=(28, 56)))
    again = Codec(probability=0.4, mpeg2=None, h264=H264(weight=2.0, quality=(20, 32)))
    return (
        Blur(probability=0.4, sigma=(0.2, 2.0), elongated=(0.3, 2.0)),
        Grain(probability=0.15),
        Noise(probability=0.2, sigma=(0.5, 6)),
        Upscaled(probability=0.4),
        FrameBlend(probability=0.06),
        Banding(probability=0.1),
        Dither(probability=0.03, levels=(32, 96)),
        Shrink(),
        Halo(probability=0.25),
        Siting(probability=0.15),
        Matrix(),
        LevelRange(),
        first,
        again,
    )


def strong() -> tuple[AnyStep, ...]:
    """Real-ESRGAN's two rounds of blur, resize, noise and compression; the codecs and stills of APISR end them."""
    noise = Noise(poisson=0.5, sigma=(1, 30), gray=0.4)
    last = OneOf(steps=(Still(probability=0.2), Codec(probability=0.8, h264=H264(quality=(23, 38)))))
    return (
        Blur(shapes=_FAMILY, sigma=(0.2, 3), elongated=(0.2, 3)),
        Resize(factor=(0.3, 1.5)),
        noise,
        Still(webp=0.3),
        Blur(probability=0.8, shapes=_FAMILY, sigma=(0.2, 1.5), elongated=(0.2, 1.5)),
        Resize(factor=(0.5, 1.2)),
        noise.model_copy(update={"sigma": (1.0, 25.0), "scale": (0.05, 2.5)}),
        Halo(probability=0.2),
        Shuffle(steps=(Shrink(), last)),
    )


STYLES: dict[Style, Callable[[], tuple[AnyStep, ...]]] = {
    "mild": mild,
    "broadcast": broadcast,
    "web": web,
    "strong": strong,
}
"""By the names of `VideoChain.style`."""
