"""The options of an encoder: ours, the user's, and a trial run that shows faults before any work is done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction

import av
import av.logging
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext

from ..errors import UsageError, near_miss
from ..frames import HdrStatic, VideoTraits
from ..options import Options
from .encoders import Encoder

_FAULTS = (
    "error parsing option",
    "unknown option",
    "invalid value",
    "out of range",
    "unable to parse",
    "is not supported",
)
"""How encoders complain about a parameter that they then ignore; they do it in a warning."""


def settings(encoder: Encoder, options: Options, traits: VideoTraits) -> tuple[dict[str, str], tuple[str, ...]]:
    """The option dictionary for the codec context of `encoder`, and notes on what cannot be kept.

    `traits` are those of the output. The user's --encoder-option pairs come last and win; parameter lists such as
    x265-params are joined. Raises UsageError for options that the encoder does not have and values out of range.
    """
    chosen = dict(encoder.fixed)
    chosen |= _quality(encoder, options) | _preset(encoder, options)
    if encoder.name == "svt-av1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only: it prints its banner to stderr, past FFmpeg's log
    if encoder.name == "ffv1" and min(traits.width, traits.height) < 32:
        chosen["slices"] = "1"  # chroma of tiny pictures cannot be cut in the four slices of the default
    if traits.color.siting and traits.layout.family == "yuv" and traits.layout.log2_w:
        chosen["chroma_sample_location"] = traits.color.siting
    params, notes = _hdr(encoder, traits)
    if encoder.name == "x265":
        params = ["log-level=none", *params]
    if params and encoder.params_key:
        chosen[encoder.params_key] = ":".join(params)
    return _add_users(encoder, chosen, options.encoder_option), notes


def _quality(encoder: Encoder, options: Options) -> dict[str, str]:
    if encoder.quality_key is None:
        if options.crf is not None:
            raise UsageError(f"--crf: {encoder.name} has no such setting", _instead(encoder))
        return {}
    value = encoder.quality if options.crf is None else options.crf
    low, high = encoder.quality_range
    if not low <= value <= high:
        raise UsageError(f"--crf: {value:g} is out of range for {encoder.name}, allowed are {low} to {high}")
    return {encoder.quality_key: f"{value:g}"}


def _instead(encoder: Encoder) -> str:
    if encoder.name in ("JPEG", "WebP", "AVIF"):
        return "--quality is for pictures"
    if not encoder.presets:
        return "it is lossless" if encoder.lossless else "leave it out"
    return f"use --encoder-preset with one of {', '.join(encoder.presets)}"


def _preset(encoder: Encoder, options: Options) -> dict[str, str]:
    asked = options.encoder_preset
    if encoder.preset_key is None:
        if asked is not None:
            raise UsageError(f"--encoder-preset: {encoder.name} has no presets")
        return {}
    if asked is not None and asked not in encoder.presets:
        miss = near_miss(asked, list(encoder.presets))
        what = f"--encoder-preset: {encoder.name} has no preset {asked!r}{miss}"
        raise UsageError(what, f"allowed are {', '.join(encoder.presets)}")
    return {encoder.preset_key: asked or encoder.preset}


def _add_users(encoder: Encoder, chosen: dict[str, str], pairs: tuple[str, ...]) -> dict[str, str]:
    """`chosen` with the user's KEY=VALUE pairs on top."""
    known = option_names(encoder)
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in known:
            what = f"--encoder-option: {encoder.name} has no option {key!r}{near_miss(key, known)}"
            own = sorted(option.name for option in _context(encoder).supported_options.private)
            raise UsageError(what, f"its own options are {', '.join(own)}")
        chosen[key] = f"{chosen[key]}:{value}" if key == encoder.params_key and key in chosen else value
    return chosen


def option_names(encoder: Encoder) -> list[str]:
    """Every option that the codec context of `encoder` knows: its own first, then the general ones."""
    known = _context(encoder).supported_options
    return [option.name for option in (*known.private, *known.generic)]


def _context(encoder: Encoder) -> VideoCodecContext:
    context = CodecContext.create(encoder.libav, "w")
    assert isinstance(context, VideoCodecContext)
    return context


def _hdr(encoder: Encoder, traits: VideoTraits) -> tuple[list[str], tuple[str, ...]]:
    """Parameters that carry the HDR metadata of `traits`, or a note that they cannot be carried."""
    hdr = traits.hdr
    if hdr is None:
        return [], ()
    words = _HDR_WORDS.get(encoder.name)
    if words is None:
        return [], (f"HDR metadata cannot be kept with {encoder.name}; x264, x265 and svt-av1 keep it",)
    mastering, light, chroma_unit, luminance_unit = words
    params = []
    if hdr.luminance and len(hdr.chromaticities) == 4:
        params.append(f"{mastering}={mastering_display(hdr, chroma_unit, luminance_unit)}")
    if hdr.max_cll or hdr.max_fall:
        params.append(f"{light}={hdr.max_cll},{hdr.max_fall}")
    return params, ()


_HDR_WORDS = {
    "x264": ("mastering-display", "cll", 50000, 10000),
    "x265": ("master-display", "max-cll", 50000, 10000),
    "svt-av1": ("mastering-display", "content-light", 0, 0),
}
"""Parameter names, and units per 1 of chromaticity and per cd/m² (0: written as decimals)."""


def mastering_display(hdr: HdrStatic, chroma_unit: int, luminance_unit: int) -> str:
    """`G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`, as x264, x265 and SVT-AV1 want it."""

    def number(value: Fraction, unit: int) -> str:
        return str(round(value * unit)) if unit else f"{float(value):.5f}"

    red, green, blue, white = hdr.chromaticities
    named = (("G", green), ("B", blue), ("R", red), ("WP", white))
    points = "".join(f"{name}({number(x, chroma_unit)},{number(y, chroma_unit)})" for name, (x, y) in named)
    assert hdr.luminance is not None
    low, high = hdr.luminance
    return f"{points}L({number(high, luminance_unit)},{number(low, luminance_unit)})"


def check_opens(
    encoder: Encoder, pix_fmt: str, width: int, height: int, options: Mapping[str, str], rate: Fraction | None = None
) -> None:
    """Open `encoder` once without a file. Raises UsageError with its complaint when it refuses or ignores something.

    `rate` is in frames per second; some encoders have a highest one. Encoders merely warn of unknown parameters inside
    x264-params and its like; that is a fault here.
    """
    rate = rate or Fraction(24)

    def context() -> VideoCodecContext:
        made = _context(encoder)
        made.width, made.height, made.pix_fmt = width, height, pix_fmt
        made.time_base, made.framerate, made.options = 1 / rate, rate, dict(options)
        return made

    # FFmpeg's threads wait for Python when they have something to say, and Python may be waiting for them to end. So
    # it is listened to only where that is needed.
    failure, complaints = _try_open(context()), list[str]()
    if failure or any(name.endswith("-params") for name in options):
        failure, complaints = _overheard(context())
    faults = [text for text in complaints if any(fault in text.lower() for fault in _FAULTS)]
    if failure or faults:
        said = "; ".join(dict.fromkeys(faults or complaints[:3])) or failure
        what = f"encoder {encoder.name} refuses {width}x{height} {pix_fmt} at {float(rate):g} fps: {said}"
        hardware = "its hardware or driver may be missing; vidsr doctor shows what this machine has"
        is_hardware = encoder.name.endswith(("nvenc", "qsv", "amf"))
        raise UsageError(
            what, hardware if is_hardware else "check --encoder-option, --encoder-preset, --pix-fmt and the size"
        )


def _try_open(context: VideoCodecContext) -> str:
    """Why opening failed; empty if it did not."""
    try:
        context.open()
    except (av.error.FFmpegError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def _overheard(context: VideoCodecContext) -> tuple[str, list[str]]:
    """Why opening failed (empty if it did not), and what the encoder said meanwhile."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture(local=True) as said:
            failure = _try_open(context)
    finally:
        av.logging.set_level(level)
    return failure, [text.strip().rstrip(".") for _, _, text in said]
