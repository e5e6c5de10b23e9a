"""What decodes the input, NVDEC where `--hwaccel` asks for it, and on which GPU NVENC finds finished pictures."""

from __future__ import annotations

from contextlib import closing

import torch
from av.codec.hwaccel import HWAccel
from av.video.stream import VideoStream

from .events import ignore
from .media.alpha_streams import alpha_decoder
from .media.encoders import Encoder
from .media.hwaccel import (
    Stream,
    Surfaces,
    check_driver,
    check_hwaccel,
    decoder_note,
    decoder_settings,
    encoder_context,
    obstacle,
    refusal,
    takes_surfaces,
)
from .options import Options
from .runtime.lanes import make_current
from .stages.decode import pictures
from .stages.source import Source, open_source, packets


def accelerate(source: Source, options: Options, device: torch.device) -> None:
    """Settle what decodes `source`, of which nothing was read yet: NVDEC where --hwaccel asks for it and the stream
    allows, and a decoder that gives the transparency where there is some to keep that others pass over.

    Raises UsageError or DeviceError where that can be of no use to the network on `device`, or has no driver.
    """
    check_hwaccel(options, str(device))
    source.with_alpha = alpha_decoder(source.video) if options.alpha == "keep" else None
    if options.hwaccel == "cuda":
        stream = Stream.of(source.video)
        why = "NVDEC passes over transparency" if source.with_alpha else obstacle(stream, options.deinterlace)
        if not source.path.is_file():
            why = "an input that is no file can be opened only once"
        source.notes = (decoder_note(why or _tried(source, stream, options, _numbered(device))),)


def _tried(source: Source, stream: Stream, options: Options, gpu: torch.device) -> str:
    """Open `source` anew for NVDEC; or why that is of no use, which only a first picture shows."""
    make_current(gpu)
    check_driver(gpu.index)
    settings = decoder_settings(gpu.index)
    why = _refusal(source, stream, options, settings)
    if not why:
        source.reopen(options.max_pixels, settings)
    return why


def _refusal(source: Source, stream: Stream, options: Options, settings: HWAccel) -> str:
    """Why NVDEC does not do for `stream`; empty when it does. What is read here is read again, and told then."""
    with closing(open_source(source.path, options.max_pixels, settings)) as trial:
        shown = pictures(packets(trial, lambda packet: None, ignore), trial.video.codec_context, ignore)
        first = next(shown, None)
        return refusal(first, stream) if first else "NVDEC gives no picture"


def encoder_gpu(options: Options, device: torch.device, encoder: Encoder, pix_fmt: str) -> torch.device | None:
    """The GPU on which `encoder` reads finished pictures of `pix_fmt`; None where it reads them in host memory."""
    on_gpu = device.type == "cuda" and options.hwaccel != "none"
    return _numbered(device) if on_gpu and encoder.name.endswith("nvenc") and takes_surfaces(pix_fmt) else None


def surfaces_for(stream: VideoStream, gpu: torch.device | None, depth: int) -> Surfaces | None:
    """Make the encoder of `stream`, not open yet, read pictures of `depth` bits on `gpu`; None leaves it as it is."""
    if gpu is None:
        return None
    surfaces = Surfaces(depth, encoder_context(gpu.index))
    stream.codec_context.pix_fmt = surfaces.pix_fmt
    return surfaces


def _numbered(device: torch.device) -> torch.device:
    """A CUDA device with its number, by which FFmpeg knows it; `cuda` alone is the first."""
    return torch.device(device.type, device.index or 0)
