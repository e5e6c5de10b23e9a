"""From options of the codec step to the words of one encoder, drawn for one clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import av
import numpy as np

from vidsr.frames import PixelLayout

from .codec_options import H264, Av1, Codec, Coder, Hevc, Mpeg2, Mpeg4, Sampling, Vp9
from .walk import chance, chosen, log_uniform, uniform, whole
from .yuv import LAYOUTS, Yuv

RATE = 25
"""Frames per second that encoders are told; it only gives bit rates their meaning."""
_REPEATABLE = "cpu-independent=1"
"""Without it x264 propagates the importance of blocks by vector code that reads memory it never wrote, and its bytes
are not always the same, even on one machine."""
_ALL: tuple[Sampling, ...] = ("420", "422", "444")
_SAMPLINGS: dict[str, tuple[Sampling, ...]] = {"mpeg2": ("420", "422"), "mpeg4": ("420",), "av1": ("420",)}
"""Of the coders that do not have them all."""
_LIBRARIES = {
    "mpeg2": ("mpeg2video", "mpeg2video"), "mpeg4": ("mpeg4", "mpeg4"), "h264": ("libx264", "h264"),
    "hevc": ("libx265", "hevc"), "vp9": ("libvpx-vp9", "vp9"), "av1": ("libsvtav1", "libdav1d"),
}  # fmt: skip
"""FFmpeg's encoder and decoder of each coder."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One way to code a clip."""

    coder: str
    """Its name among the options, such as `h264`."""
    yuv: Yuv
    options: dict[str, str]
    """FFmpeg's, of the encoder."""
    bits: float | None
    """Bits per pixel of a bit rate, or None where `options` hold a quality."""
    lead: int = 0
    """Frames that are coded before the clip and thrown away."""
    tail: int = 0
    """The same, after it."""

    def words(self, width: int, height: int) -> dict[str, str]:
        """All options of the encoder for frames of a size in pixels."""
        if self.bits is None:
            return dict(self.options)
        rate = round(self.bits * width * height * RATE)
        words = {**self.options, "b": str(rate)}
        if self.coder in ("mpeg2", "mpeg4"):  # only with a buffer do they keep to a rate from the first frames on
            words |= {"maxrate": str(rate), "bufsize": str(rate // 6)}
        return words

    @property
    def encoder(self) -> str:
        """FFmpeg's name."""
        return _LIBRARIES[self.coder][0]

    @property
    def decoder(self) -> str:
        """FFmpeg's name."""
        return _LIBRARIES[self.coder][1]


@cache
def available(coder: str) -> bool:
    """Whether this build of FFmpeg can encode and decode what `coder` stands for."""
    try:
        encoder, decoder = _LIBRARIES[coder]
        return bool(av.Codec(encoder, "w").is_encoder and av.Codec(decoder, "r").is_decoder)
    except ValueError:
        return False


def draw(options: Codec, rng: np.random.Generator) -> Settings | None:
    """Settings of one of the wanted coders; None where this build has none of them."""
    shares = {name: coder.weight for name, coder in options.coders.items() if available(name)}
    if not any(shares.values()):
        return None
    name = chosen(rng, shares)
    coder = options.coders[name]
    layout = _layout(options, name, rng)
    by_rate = chance(rng, options.by_bit_rate)
    quality, bits = uniform(rng, coder.quality), log_uniform(rng, coder.bits)
    words = {"g": str(whole(rng, options.gop))}
    words |= _WORDS[type(coder)](coder, None if by_rate else quality, whole(rng, options.b_frames), layout, rng)
    yuv = Yuv(layout, bt601=chance(rng, options.bt601))
    lead, tail = whole(rng, options.lead), whole(rng, options.tail)
    return Settings(name, yuv, words, bits if by_rate else None, lead, tail)


def _layout(options: Codec, coder: str, rng: np.random.Generator) -> PixelLayout:
    shares = {name: options.sampling.get(name, 0.0) for name in _SAMPLINGS.get(coder, _ALL)}
    return LAYOUTS[chosen(rng, shares) if any(shares.values()) else "420"]


# Each of the following gives the words of one coder; `quality` is None where the clip is coded at a bit rate.


def _mpeg(coder: Coder, quality: float | None, b_frames: int, layout: PixelLayout, rng: np.random.Generator) -> _Words:
    assert isinstance(coder, Mpeg2 | Mpeg4)
    words = {"bf": str(min(b_frames, 2))}
    if isinstance(coder, Mpeg2) and chance(rng, coder.interlaced):
        words["flags"] = "+ildct+ilme"
    if quality is not None:  # a range of one; FFmpeg's own switch for it, qscale, needs a field that PyAV does not set
        words |= dict.fromkeys(("qmin", "qmax"), str(round(quality)))
    return words


def _h264(coder: Coder, quality: float | None, b_frames: int, layout: PixelLayout, rng: np.random.Generator) -> _Words:
    assert isinstance(coder, H264)
    words = {"preset": chosen(rng, coder.presets), "x264-params": _REPEATABLE} | _crf(quality)
    profile = chosen(rng, coder.profiles)
    if layout == LAYOUTS["420"]:
        words["profile"] = profile
    baseline = words.get("profile") == "baseline"
    return words | {"bf": "0" if baseline else str(b_frames)}


def _hevc(coder: Coder, quality: float | None, b_frames: int, layout: PixelLayout, rng: np.random.Generator) -> _Words:
    assert isinstance(coder, Hevc)
    params = f"pools=none:frame-threads=1:log-level=none:bframes={b_frames}"
    return {"preset": chosen(rng, coder.presets), "x265-params": params} | _crf(quality)


def _vp9(coder: Coder, quality: float | None, b_frames: int, layout: PixelLayout, rng: np.random.Generator) -> _Words:
    assert isinstance(coder, Vp9)
    words = {"deadline": "good", "cpu-used": str(whole(rng, coder.speed)), "row-mt": "0", "lag-in-frames": "12"}
    return words | ({} if quality is None else {"crf": str(round(quality)), "b": "0"})


def _av1(coder: Coder, quality: float | None, b_frames: int, layout: PixelLayout, rng: np.random.Generator) -> _Words:
    assert isinstance(coder, Av1)
    words = {"preset": str(whole(rng, coder.speed)), "svtav1-params": "lp=1"}
    return words | ({} if quality is None else {"crf": str(round(quality))})


def _crf(quality: float | None) -> dict[str, str]:
    return {} if quality is None else {"crf": f"{quality:.2f}"}


_Words = dict[str, str]
_WORDS: dict[type[Coder], Callable[[Coder, float | None, int, PixelLayout, np.random.Generator], _Words]] = {
    Mpeg2: _mpeg, Mpeg4: _mpeg, H264: _h264, Hevc: _hevc, Vp9: _vp9, Av1: _av1,
}  # fmt: skip
