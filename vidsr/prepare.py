"""Everything that is decided before the first frame: from a call to a Plan.

The order is that of cost: names and options first, then the input's header and first picture, then the weights, then
the encoder. The first thing that cannot be done is refused, and nothing has been written by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import torch

from .errors import ExistsError, InputError, OutputError, UsageError
from .events import Notice
from .frames import Orientation, PixelLayout, VideoTraits
from .fs import same_file
from .hardware import encoder_gpu
from .media.animations import ANIMATIONS
from .media.carry import carried_metadata
from .media.color import for_layout, resolve
from .media.containers import KEPT, spoken
from .media.encoder_alpha import Coding, choose_coding
from .media.encoder_options import check_opens, settings
from .media.encoders import Encoder, keeps_aspect, size_rule
from .media.files import KINDS, as_pictures
from .media.folder import check_pattern, output_pattern
from .media.forms import Outlet, outlet_of
from .media.pipes import is_stdin, is_stdout
from .media.plain import PLAIN
from .media.plan import StreamPlan, plan_streams
from .media.sequences import is_sequence, numbering_of
from .media.side import plan_sound
from .media.traits import traits_of, unkept
from .models.descriptor import Descriptor
from .options import Options
from .runtime.engine import Engine, plan_engine
from .sizes import Sizes, plan_sizes
from .stages.retime import clock_of
from .stages.source import Source


@dataclass(frozen=True)
class Plan:
    """A run that can start: all that is not pixels is settled."""

    input: Path
    output: Path
    container: str
    options: Options
    source: VideoTraits
    """As decoded, with every colour tag resolved."""
    target: VideoTraits
    """As encoded, upright; `width` and `height` are those the encoder gets."""
    sizes: Sizes
    """What the network gets, and the final size before the edge is repeated up to what the pixel format needs."""
    encoder: Encoder
    pix_fmt: str
    settings: dict[str, str]
    metadata: dict[str, str]
    """Tags of the video stream."""
    streams: tuple[StreamPlan, ...]
    sound: StreamPlan | None
    """What becomes of --audio-file."""
    network: Descriptor
    engines: tuple[Engine, ...]
    """How each pass through the network will run."""
    surfaces: torch.device | None
    """The GPU on which the encoder reads finished pictures; None where it reads them in host memory."""
    notes: tuple[Notice, ...]
    origin: int
    """The pts of the first picture."""
    offset: Fraction
    """Seconds that are added to every time: an excerpt begins at 0, and containers hide pictures before zero."""

    @property
    def size(self) -> tuple[int, int]:
        """Final (width, height) of what is to be seen."""
        return self.sizes.final

    @property
    def engine(self) -> Engine:
        """That of the first pass."""
        return self.engines[0]


def output_path(input: Path, output: Path | None, options: Options, scale: float) -> Path:
    """The output's name: as given, inside the folder given, or `<stem>_<model>_x<scale><ext>` beside the input."""
    if is_sequence(input):
        return output_pattern(input, output)
    if output is not None and (is_stdout(output) or not _is_folder(output)):
        return output
    shown = f"{options.height}p" if options.height else options.size or f"x{scale:g}"
    extension = input.suffix if input.suffix.lower() in KEPT else ".mkv"
    extension = f".{options.container}" if options.container else extension
    stem = "stdin" if is_stdin(input) else input.stem
    name = f"{stem}_{Path(options.model).stem}_{shown}{extension}"
    return (output or input.parent) / name


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # check_names tells why
        return False


def check_names(input: Path, output: Path, options: Options) -> None:
    """Refuse what can be seen from the names alone: the same file, an existing output, a missing folder."""
    try:
        _check_output(input, output, options)
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise OutputError(f"output {output}: {(error.strerror or str(error)).lower()}", "-o names another") from error


def _check_output(input: Path, output: Path, options: Options) -> None:
    for flag, report in (("--report", options.report), ("--report-page", options.report_page)):
        if report is not None:
            _check_report(flag, report, input, output)
    if options.audio_file is not None and not is_stdout(output) and same_file(options.audio_file, output):
        raise UsageError(f"output {output} is --audio-file itself", "name another file with -o")
    if is_stdout(output):
        return
    numbering = numbering_of(output)
    if numbering is not None:
        check_pattern(input, output, numbering, options.overwrite)
        return
    if not is_stdin(input) and same_file(input, output):
        raise UsageError(f"output {output} is the input itself", "name another file with -o")
    if output.is_file() and not options.overwrite:
        raise ExistsError(f"output {output} exists", "-y replaces it; -o names another")
    if not (output.exists() or output.resolve().parent.is_dir()):
        raise OutputError(f"output folder {output.parent} does not exist", "create it, or name another with -o")
    output.resolve().exists()  # raises what cannot be named


def _check_report(flag: str, report: Path, input: Path, output: Path) -> None:
    """The report replaces what has its name: never the film."""
    for what, path in (("input", input), ("output", output)):
        if same_file(report, path):
            ending = ".html" if flag.endswith("page") else ".json"
            raise UsageError(f"{flag}: {report} is the {what} itself", f"name a file that ends in {ending}")
    if report.is_dir():
        raise UsageError(f"{flag}: {report} is a folder", "name a file inside it")
    if not report.resolve().parent.is_dir():
        raise OutputError(f"{flag}: folder {report.parent} does not exist", "create it, or name another")


def check_call(source: Source, first: av.VideoFrame, output: Path, options: Options) -> None:
    """Refuse what can be refused without a network: the encoder's words, and streams the container cannot hold."""
    outlet = _outlet(output, options)
    stored, _ = _resolved(first, source, options)
    coding = _coding(stored, outlet, options)
    settings(coding.encoder, options, replace(stored.upright(), layout=coding.layout))
    _streams(source, outlet.container, options)
    plan_sound(outlet.container, options)


def _outlet(output: Path, options: Options) -> Outlet:
    return outlet_of(output, options.out_format, options.container, options.pix_fmt)


def _streams(source: Source, container: str, options: Options) -> tuple[StreamPlan, ...]:
    """What becomes of the other streams. What holds pictures alone holds none: who asks for that means the pictures."""
    if container in (*PLAIN, *KINDS, *ANIMATIONS):
        options = options.model_copy(update={"drop": (*options.drop, "incompatible")})
    return plan_streams(source.container, source.video, container, options)


def make_plan(
    source: Source,
    first: av.VideoFrame,
    shift: int,
    output: Path,
    options: Options,
    network: Descriptor,
    device: torch.device,
) -> Plan:
    """Settle sizes, colours, encoder and carried streams, all times to be moved by `shift`.

    Raises UsageError, InputError or OutputError.
    """
    outlet = _outlet(output, options)
    container = outlet.container
    stored, notes = _resolved(first, source, options)
    coding = _coding(stored, outlet, options)
    encoder, pix_fmt, layout = coding.encoder, coding.pix_fmt, coding.layout
    stored = replace(stored, layout=replace(stored.layout, alpha=layout.alpha))
    upright = stored.upright()
    square = upright.sample_aspect != 1 and not keeps_aspect(encoder, container)
    if square:
        other = f"{encoder.name} in {spoken(container)} cannot say that they are not"
        notes.append(Notice(f"pixels become square: {other}"))
    sizes = plan_sizes(upright, options, network.scale, square)
    size = sizes.final
    origin, offset = first.pts or 0, shift * stored.time_base
    target = _target(upright, layout, _padded(encoder, layout, size), size, options)
    if options.fps is not None:
        rate = Fraction(options.fps)
        target = replace(target, rate=rate, time_base=clock_of(rate, origin * stored.time_base + offset))
    target, told = as_pictures(target, container)
    notes += told
    _check_pixels(options.max_pixels, (stored.width, stored.height), (target.width, target.height))
    words, kept = settings(encoder, options, target)
    check_opens(encoder, pix_fmt, target.width, target.height, words, target.rate)
    streams, sound = _streams(source, container, options), plan_sound(container, options)
    engines, tiled = _engines(sizes, options, network, device)
    if (target.width, target.height) != size:
        padded = f"{target.width}x{target.height}, which {encoder.name} needs for {pix_fmt}"
        notes.append(Notice(f"size {size[0]}x{size[1]} padded to {padded}"))
    return Plan(
        input=source.path,
        output=output,
        container=container,
        options=options,
        source=stored,
        target=target,
        sizes=sizes,
        encoder=encoder,
        pix_fmt=pix_fmt,
        settings=words,
        metadata=_video_tags(source, container),
        streams=streams,
        sound=sound,
        network=network,
        engines=engines,
        surfaces=encoder_gpu(options, device, encoder, pix_fmt),
        origin=origin,
        offset=offset,
        notes=(*notes, *coding.notes, *map(Notice, (*kept, *_reasons(*streams, sound), *tiled))),
    )


def _reasons(*plans: StreamPlan | None) -> list[str]:
    return [str(plan) for plan in plans if plan and plan.reason]


def _engines(
    sizes: Sizes, options: Options, network: Descriptor, device: torch.device
) -> tuple[tuple[Engine, ...], list[str]]:
    """The engine of every pass, and what should be known of them."""
    before = [sizes.before(number, network.scale) for number in range(sizes.passes)]
    _check_pixels(options.max_pixels, *before)
    planned = [plan_engine(network, options, device, height, width) for width, height in before]
    said = list(dict.fromkeys(text for _, texts in planned for text in texts))
    if sizes.passes > 1:
        said.append(f"the network runs {sizes.passes} times, up to x{network.scale**sizes.passes}")
    return tuple(engine for engine, _ in planned), said


def _video_tags(source: Source, container: str) -> dict[str, str]:
    """The tags of the video stream, without WebM's mark of a transparency that is no longer there."""
    tags = carried_metadata(source.video.metadata, container)
    return {key: value for key, value in tags.items() if key.lower() != "alpha_mode"}


def _coding(stored: VideoTraits, outlet: Outlet, options: Options) -> Coding:
    layout = stored.layout if options.bit_depth is None else replace(stored.layout, depth=options.bit_depth)
    return choose_coding(layout, options.codec, outlet.container, outlet.pix_fmt)


def _padded(encoder: Encoder, layout: PixelLayout, size: tuple[int, int]) -> tuple[int, int]:
    """The smallest size the encoder takes that holds `size`."""
    across, down, least = size_rule(encoder, layout)
    return max(least, -(-size[0] // across) * across), max(least, -(-size[1] // down) * down)


def _check_pixels(limit: int, *sizes: tuple[int, int]) -> None:
    for width, height in sizes:
        if width * height > limit:
            what = f"a frame of {width}x{height} exceeds the limit of {limit} pixels"
            raise InputError(what, "--max-pixels raises it")


def _resolved(first: av.VideoFrame, source: Source, options: Options) -> tuple[VideoTraits, list[Notice]]:
    """The traits with no colour tag left open, and what was guessed or will not be kept."""
    traits = traits_of(first, source.video)
    traits = replace(traits, rate=traits.rate or source.rate)
    tags = replace(traits.color, siting=traits.color.siting or source.siting)
    if options.chroma_location != "auto":
        tags = replace(tags, siting=options.chroma_location)
    color, guesses = resolve(tags, traits.layout, traits.width, traits.height, source.video.codec_context.name)
    notes = [*source.notes, *(Notice(f"colour: {guess}", "detail") for guess in guesses)]
    if traits.alpha and not traits.layout.alpha and options.alpha == "keep":
        notes.append(Notice("the header speaks of transparency, and the first picture has none"))
    if traits.alpha and options.alpha == "drop":
        notes.append(Notice("the transparency of the input is left out, as --alpha drop asks"))
        traits = replace(traits, layout=traits.layout.colours)
    if traits.interlaced:
        fate = "kept as it is, expect combing" if options.deinterlace == "off" else "deinterlaced (bwdif)"
        notes.append(Notice(f"interlaced input: {fate}"))
    if traits.orientation != Orientation():
        notes.append(Notice("the picture is turned upright, as its display matrix asks", "detail"))
    notes += [Notice(f"{what} of the input is not kept", "warning") for what in unkept(first)]
    return replace(traits, color=color), notes


def _target(
    upright: VideoTraits, layout: PixelLayout, padded: tuple[int, int], size: tuple[int, int], options: Options
) -> VideoTraits:
    stretch = Fraction(upright.width * size[1], upright.height * size[0])
    aspect = upright.sample_aspect
    if abs(stretch - 1) > Fraction(1, 100):  # less is rounding to whole pixels
        aspect = (aspect * stretch).limit_denominator(255)
        aspect = Fraction(1) if abs(aspect - 1) < Fraction(1, 100) else aspect
    return replace(
        upright,
        width=padded[0],
        height=padded[1],
        layout=layout,
        color=for_layout(upright.color, upright.layout, layout, padded[0], padded[1]),
        sample_aspect=aspect,
        interlaced=upright.interlaced and options.deinterlace == "off",
        alpha=layout.alpha,
    )


def describe(plan: Plan) -> str:
    """What a run of this plan would do, for people."""
    source, target = plan.source, plan.target
    rate = f", {float(source.rate):.3f} fps" if source.rate else ""
    kind = f"{source.layout.family} {source.layout.depth} bit{', alpha' if source.alpha else ''}"
    coded = f"{plan.encoder.name}{' with alpha' if target.alpha else ''}"
    lines = [
        f"input    {plan.input}  {source.width}x{source.height} {kind}{rate}",
        f"network  {plan.network.name}, x{plan.network.scale}",
        f"output   {plan.output}  {target.width}x{target.height} {coded} in {plan.container}",
        *(f"stream   {stream}" for stream in (*plan.streams, plan.sound) if stream),
        *(f"note     {note.text}" for note in plan.notes),
    ]
    return "\n".join(lines)
