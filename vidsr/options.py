"""Every choice a user has, in one place. The docstring under a field is its help text on the command line and in docs.

`Options` is frozen. Building one checks everything that can be checked without touching a file, and `parse` tells
all faults of a call at once.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .errors import UsageError, near_miss

Codec = Literal[
    "x264", "x265", "svt-av1", "vp9", "ffv1", "prores", "png", "qtrle", "utvideo",
    "h264-nvenc", "hevc-nvenc", "av1-nvenc", "h264-qsv", "hevc-qsv", "av1-qsv", "h264-amf", "hevc-amf", "av1-amf",
]  # fmt: skip
Precision = Literal["auto", "fp32", "fp16", "bf16"]
Runtime = Literal["auto", "eager", "layered", "compiled", "fused", "tensorrt", "onnx"]
Provider = Literal["cpu", "cuda", "tensorrt", "openvino", "openvino-gpu", "directml", "coreml"]
"""Of onnxruntime: `--runtime onnx:PROVIDER`."""


@dataclass(frozen=True, slots=True)
class Flag:
    """How a field appears on the command line: its names, the group it is listed in, and how its value is shown.

    `alone` is the value of an option that may be given without one.
    """

    names: str
    group: str
    metavar: str = ""
    alone: str = ""


class Options(BaseModel):
    """All choices of `vidsr upscale` but input and output."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: Annotated[str, Flag("-n/-m/--model", "Network", "NAME|PATH")] = "animevideov3"
    """Network: a built-in name, its alias, or a weights file; `vidsr models list` shows the names."""
    scale: Annotated[float | None, Field(gt=0, le=16), Flag("-s/--scale", "Network", "F")] = None
    """Final size as a factor of the input; the network's own scale when not given."""
    size: Annotated[str | None, Field(pattern=r"^[1-9][0-9]*x[1-9][0-9]*$"), Flag("--size", "Network", "WxH")] = None
    """Final size in pixels, both sides given."""
    height: Annotated[int | None, Field(ge=2, le=32768), Flag("--height", "Network", "H")] = None
    """Final height in pixels; the width follows the aspect of the input."""
    passes: Annotated[Literal["auto"] | int, Flag("--passes", "Network", "auto|N")] = "auto"
    """How often pictures go through the network; auto is once, and more often for sizes far above its own scale."""
    prescale: Annotated[
        str | None,
        Field(pattern=r"^(0?\.[0-9]*[1-9][0-9]*|1(\.0*)?|[1-9][0-9]*x[1-9][0-9]*)$"),
        Flag("--prescale", "Network", "F|WxH"),
    ] = None
    """Size at which the network gets the pictures, as a factor up to 1 or in pixels: for inputs that were enlarged
    before, the size they once had."""
    denoise: Annotated[float | None, Field(ge=0, le=1), Flag("-dn/--denoise", "Network", "F")] = None
    """Denoise strength of general-x4v3: 0 keeps noise, 1 removes it; mixes the model with its partner."""
    blend: Annotated[tuple[str, ...], Flag("--blend", "Network", "PATH:W")] = ()
    """Mix in another model of equal shape, a path or a name, with weight W, above 0 and at most 1; may be given more
    than once. The model itself has what is left of 1."""
    preset: Annotated[str | None, Flag("-p/--preset", "Network", "NAME")] = None
    """A named set of options; `vidsr presets list` shows them. Options given by hand win."""

    precision: Annotated[Precision, Flag("--precision", "Speed", "KIND")] = "auto"
    """Number format of the network: auto is fp16 on a GPU, bf16 on a CPU with hardware for it, else fp32."""
    device: Annotated[str, Flag("--device", "Speed", "NAME")] = "auto"
    """auto, cpu, cuda, cuda:N or mps."""
    tile: Annotated[Literal["auto"] | int, Flag("-t/--tile", "Speed", "auto|0|N")] = "auto"
    """Tile side in input pixels; 0 never tiles, auto tiles when the frame would not fit in memory."""
    tile_pad: Annotated[int | None, Field(ge=0, le=512), Flag("--tile-pad", "Speed", "N")] = None
    """Overlap of tiles in input pixels; the receptive field of the network when not given, which is exact."""
    batch: Annotated[Literal["auto"] | int, Flag("--batch", "Speed", "auto|N")] = "auto"
    """Frames that go through the network together."""
    runtime: Annotated[Runtime | str, Flag("--runtime", "Speed", "NAME")] = "auto"
    """How the network runs: auto, eager, layered, compiled, fused, tensorrt or onnx[:PROVIDER]; docs/runtimes.md."""
    reuse: Annotated[Literal["exact", "off"] | str, Flag("--reuse", "Speed", "exact|off|near:T")] = "exact"
    """exact computes only what a change since the frame before can reach, bit for bit the same as off, which computes
    everything; near:T takes differences of up to T codes of 8 bits for none."""

    codec: Annotated[Codec | None, Flag("--codec", "Video", "NAME")] = None
    """Video encoder; when not given x264 for mp4, mov and mkv, vp9 for webm, and where there is transparency one that
    holds it, if the container has one."""
    crf: Annotated[float | None, Field(ge=0, le=63), Flag("--crf", "Video", "F")] = None
    """Quality of the encoder, lower is better; each encoder has its own default."""
    encoder_preset: Annotated[str | None, Flag("--encoder-preset", "Video", "NAME")] = None
    """Speed preset in the encoder's own words, such as slow for x264 or 6 for svt-av1."""
    pix_fmt: Annotated[str | None, Flag("--pix-fmt", "Video", "NAME")] = None
    """Pixel format of the output, such as yuv420p10le; the nearest the encoder has to the input when not given."""
    encoder_option: Annotated[tuple[str, ...], Flag("--encoder-option", "Video", "K=V")] = ()
    """An option of the encoder itself; may be given more than once."""
    bit_depth: Annotated[int | None, Field(ge=8, le=16), Flag("--bit-depth", "Video", "N")] = None
    """Bits per sample of the output, 8 to 16; those of the input when not given."""
    hwaccel: Annotated[Literal["auto", "none", "cuda"], Flag("--hwaccel", "Video", "KIND")] = "auto"
    """auto decodes in software, and NVENC reads pictures on the GPU; cuda decodes by NVDEC too, where damage inside a
    picture is not seen; none uses neither."""
    deinterlace: Annotated[Literal["auto", "on", "off"], Flag("--deinterlace", "Video", "WHEN")] = "auto"
    """bwdif for frames that are marked as interlaced (auto), for every frame (on), or never (off)."""
    chroma_location: Annotated[
        Literal["auto", "left", "center", "topleft"], Flag("--chroma-location", "Video", "WHERE")
    ] = "auto"
    """Where the chroma samples of the input lie; auto follows the standard of its codec and colour space."""
    container: Annotated[Literal["mkv", "mp4", "mov", "webm"] | None, Flag("--container", "Video", "NAME")] = None
    """Container of the output where -o names no file; that of the input when not given."""

    start: Annotated[str | None, Flag("--start", "Excerpt", "T")] = None
    """Begin with the first frame at or after T, in seconds or as [H:]MM:SS, from where the input begins."""
    end: Annotated[str | None, Flag("--end", "Excerpt", "T")] = None
    """End before the first frame at or after T; sound and subtitles are cut to match."""
    frames: Annotated[int | None, Field(ge=1), Flag("--frames", "Excerpt", "N")] = None
    """At most so many frames."""
    fps: Annotated[str | None, Flag("--fps", "Excerpt", "R")] = None
    """A constant rate, such as 24000/1001: frames are repeated or left out, never shown for longer or shorter than
    the input shows them, so that sound stays with picture."""

    audio: Annotated[str, Flag("--audio", "Streams", "copy|none|CODEC")] = "copy"
    """copy takes every audio track as it is, none drops them, a codec name (aac, opus, flac, …) encodes them anew."""
    audio_file: Annotated[Path | None, Flag("--audio-file", "Streams", "PATH")] = None
    """Sound from another file (wav, flac, ogg, mp3, or any container) instead of the input's own; it begins with the
    picture, is copied where the output can hold it and encoded anew where not, or as --audio says."""
    subs: Annotated[Literal["copy", "none"], Flag("--subs", "Streams", "copy|none")] = "copy"
    """copy takes every subtitle track, converting text where the container needs it; none drops them."""
    drop: Annotated[
        tuple[Literal["data", "attachments", "cover", "chapters", "incompatible"], ...],
        Flag("--drop", "Streams", "KIND"),
    ] = ()
    """Streams to leave out: data, attachments, cover, chapters, or incompatible (what the container cannot hold)."""

    in_format: Annotated[str | None, Flag("--in-format", "Pipes", "NAME")] = None
    """What the input holds where it does not say so itself: a pixel format for raw planes, such as rgb24, or a
    container, such as y4m; docs/pipes.md."""
    in_size: Annotated[str | None, Field(pattern=r"^[1-9][0-9]*x[1-9][0-9]*$"), Flag("--in-size", "Pipes", "WxH")] = (
        None
    )
    """Size of raw input in pixels."""
    in_rate: Annotated[str | None, Flag("--in-rate", "Pipes", "R")] = None
    """Frames per second of raw input and of numbered pictures, such as 25, 24000/1001 or 23.976."""
    out_format: Annotated[str | None, Flag("--out-format", "Pipes", "NAME")] = None
    """What is written, whatever the output is called: y4m, a pixel format for raw planes, or mkv, nut, ts, mp4, mov,
    webm; mkv where -o is - and nothing else is said."""

    alpha: Annotated[Literal["keep", "drop"], Flag("--alpha", "Pictures", "KIND")] = "keep"
    """Transparency of pictures and of video: keep upscales it too where the output can hold it, drop leaves it out."""
    alpha_upsampler: Annotated[Literal["model", "lanczos"], Flag("--alpha-upsampler", "Pictures", "KIND")] = "model"
    """How transparency is upscaled: by the network as a gray picture, or by Lanczos."""
    suffix: Annotated[str | None, Field(pattern=r"^[^/\\\x00]*$"), Flag("--suffix", "Pictures", "TEXT")] = None
    """Pictures get the name <stem>_TEXT<ext>, with an empty TEXT <stem><ext>; <stem>_<model>_x<scale><ext> when not
    given."""
    ext: Annotated[
        Literal["auto", "png", "jpg", "webp", "tif", "bmp", "exr", "avif"], Flag("--ext", "Pictures", "KIND")
    ] = "auto"
    """Format of pictures where -o names no file; auto is that of the input."""
    quality: Annotated[int | None, Field(ge=1, le=100), Flag("--quality", "Pictures", "N")] = None
    """Quality of JPEG, WebP and AVIF, 1 to 100; when not given 95, and 100 for WebP, where 100 is lossless."""

    face_enhance: Annotated[str | None, Flag("--face-enhance", "Faces", "[NAME|PATH]", "gfpgan-1.4")] = None
    """Restore faces by gfpgan-1.4, or by another network: gfpgan-1.3, gfpgan-1.2, gfpgan-1, restoreformer, or a weights
    file; docs/faces.md. Put it after the input when it is given without a name."""
    face_weight: Annotated[float, Field(ge=0, le=1), Flag("--face-weight", "Faces", "F")] = 1.0
    """The part of the restored face, 0 to 1; the rest is the face as it was."""
    face_detector: Annotated[str, Flag("--face-detector", "Faces", "NAME|PATH")] = "retinaface-mobile"
    """What finds faces: retinaface-mobile, retinaface-resnet50, yunet, or a weights file."""
    only_center_face: Annotated[bool, Flag("--only-center-face", "Faces")] = False
    """Restore only the face nearest to the middle of the picture."""
    face_restored_crops: Annotated[Path | None, Flag("--face-restored-crops", "Faces", "DIR")] = None
    """Write every restored face to DIR as well, 512 x 512 pixels, as <stem>_<number>.png."""
    aligned: Annotated[bool, Flag("--aligned", "Faces")] = False
    """The picture is a single face already, upright and of the whole picture: it is brought to 512 x 512 pixels,
    restored, and written as that."""

    shards: Annotated[Literal["auto"] | int, Flag("--shards", "Long inputs", "auto|N")] = "auto"
    """Segments into which the input is cut at keyframes, computed apart and joined without a seam; 1 does not cut it.
    auto cuts long inputs, so that a run that dies goes on where it was, and what several devices share."""
    devices: Annotated[str, Flag("--devices", "Long inputs", "auto|NAME,…")] = "auto"
    """Devices that work at the same time, such as cuda:0,cuda:1 or cpu,cpu; auto is every GPU, else the CPU."""
    cluster: Annotated[str | None, Flag("--cluster", "Long inputs", "ADDRESS")] = None
    """Work on the machines of a Ray cluster: its address, auto or such as head:6379; docs/cluster.md."""
    work_dir: Annotated[Path | None, Flag("--work-dir", "Long inputs", "DIR")] = None
    """Where finished segments lie until they are joined; a hidden folder beside the output when not given."""
    resume: Annotated[bool, Flag("--resume/--no-resume", "Long inputs")] = True
    """Go on with what an earlier run of the same command finished."""

    overwrite: Annotated[bool, Flag("-y/--overwrite", "Safety")] = False
    """Replace the output when it exists."""
    dry_run: Annotated[bool, Flag("--dry-run", "Safety")] = False
    """Check everything and say what would be done, without doing it."""
    verify: Annotated[bool, Flag("--verify/--no-verify", "Safety")] = True
    """Open the finished file again and compare it with what was sent."""
    allow_loss: Annotated[bool, Flag("--allow-loss", "Safety")] = False
    """Exit with 0 even if part of the input was lost or damaged."""
    max_pixels: Annotated[int, Field(ge=1), Flag("--max-pixels", "Safety", "N")] = 1 << 27
    """Largest frame accepted or made, in pixels (width times height)."""
    report: Annotated[Path | None, Flag("--report", "Safety", "FILE.json")] = None
    """Write the report of the run to this file."""
    report_page: Annotated[Path | None, Flag("--report-page", "Safety", "FILE.html")] = None
    """Write a page about the run of a video to this file: its stages, speed and damage, pictures before and after."""

    @field_validator("tile", "batch", "shards", "passes")
    @classmethod
    def _check_counts(cls, value: Literal["auto"] | int, info: Any) -> Literal["auto"] | int:
        least = 0 if info.field_name == "tile" else 1
        if value != "auto" and value < least:
            raise ValueError(f"must be auto or at least {least}")
        if info.field_name == "tile" and value != "auto" and 0 < value < 16:
            raise ValueError("must be auto, 0 or at least 16")
        if info.field_name == "passes" and value != "auto" and value > 4:
            raise ValueError("must be auto or at most 4")
        return value

    @field_validator("runtime")
    @classmethod
    def _check_runtime(cls, value: str) -> str:
        name, colon, provider = value.partition(":")
        if name not in get_args(Runtime) or (colon and (name != "onnx" or provider not in get_args(Provider))):
            providers = ", ".join(get_args(Provider))
            raise ValueError(f"must be one of {', '.join(get_args(Runtime))}, or onnx:PROVIDER with one of {providers}")
        return value

    @field_validator("reuse")
    @classmethod
    def _check_reuse(cls, value: str) -> str:
        if not re.fullmatch("exact|off|near:[1-9][0-9]?", value):
            raise ValueError("must be exact, off, or near:T with T from 1 to 99")
        return value

    @field_validator("devices")
    @classmethod
    def _check_devices(cls, value: str) -> str:
        if value != "auto" and not all(re.fullmatch("cpu|mps|cuda(:[0-9]+)?", name) for name in value.split(",")):
            raise ValueError("must be auto, or names such as cuda:0 or cpu with commas between")
        return value

    @field_validator("start", "end")
    @classmethod
    def _check_time(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(_TIME, value):
            raise ValueError("must be seconds such as 12.5, or a time such as 1:30 or 0:12:34.567")
        return value

    @field_validator("in_rate", "fps")
    @classmethod
    def _check_rate(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[1-9][0-9]{0,8}(/[1-9][0-9]{0,8}|\.[0-9]{1,6})?", value):
            raise ValueError("must be a number such as 25 or 23.976, or a fraction such as 24000/1001")
        return value

    @field_validator("encoder_option")
    @classmethod
    def _check_pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pair in value:
            if "=" not in pair[1:]:
                raise ValueError("must have the form KEY=VALUE")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Options:
        for fault in clashes(chosen(self.model_dump(include=_CLASHING))):
            raise ValueError(fault)
        if self.start is not None and self.end is not None and seconds(self.end) <= seconds(self.start):
            raise ValueError(f"--end {self.end} is not after --start {self.start}")
        return self


_TIME = r"(([0-9]{1,3}:[0-5]?[0-9]|[0-9]{1,5}):[0-5]?[0-9]|[0-9]{1,7})(\.[0-9]{1,9})?"


def seconds(time: str) -> Fraction:
    """A time as --start and --end take it, `[H:]MM:SS[.fraction]` or seconds, in seconds."""
    total = Fraction(0)
    for part in time.split(":"):
        total = total * 60 + Fraction(part)
    return total


_SIZES = ("scale", "size", "height")
_FACES = ("face_weight", "face_detector", "only_center_face", "face_restored_crops", "aligned")
_CLASHING = {*_SIZES, "in_format", "in_size", "face_enhance", *_FACES}


def chosen(values: dict[str, Any]) -> list[str]:
    """The fields of `values` that are not as they are when nothing is said."""
    known = Options.model_fields
    return [name for name, value in values.items() if name not in known or value != known[name].default]


def clashes(given: Container[str]) -> list[str]:
    """Sentences about fields of `given` that exclude or need each other; only whether they are there matters."""
    sizes = [long_flag(name) for name in _SIZES if name in given]
    faults = [f"{' and '.join(sizes)} exclude each other"] if len(sizes) > 1 else []
    if "in_size" in given and "in_format" not in given:
        faults.append("--in-size: --in-format is needed too, the pixel format of the input")
    faceless = [long_flag(name) for name in _FACES if name in given and "face_enhance" not in given]
    if faceless:
        faults.append(f"{' and '.join(faceless)}: --face-enhance is needed too")
    if sizes and "aligned" in given:
        faults.append(f"--aligned makes 512x512 pixels, without {' and '.join(sizes)}")
    return faults


def flag_of(name: str) -> Flag:
    """The Flag of field `name` of Options."""
    return next(item for item in Options.model_fields[name].metadata if isinstance(item, Flag))


def long_flag(name: str) -> str:
    """The long command-line name of field `name`, such as `--tile-pad`."""
    return next(part for part in flag_of(name).names.split("/") if part.startswith("--"))


def parse(values: dict[str, Any]) -> Options:
    """Options from plain values; a UsageError that names every fault, one on a line."""
    try:
        return Options(**values)
    except ValidationError as error:
        faults: dict[str, list[Any]] = {}
        for item in error.errors():
            faults.setdefault(str(item["loc"][0]) if item["loc"] else "", []).append(item)
        clashing = clashes(chosen(values))
        together = [item["msg"].removeprefix("Value error, ") for item in faults.pop("", [])]
        told = [_fault(name, items) for name, items in faults.items()] + clashing
        said = "\n".join(dict.fromkeys([*told, *together]))
        raise UsageError(said, "vidsr upscale --help lists every option") from None


def _fault(name: str, items: list[Any]) -> str:
    """One sentence for all that pydantic has against the value of field `name`: one item for each type it may have."""
    if items[0]["type"] == "extra_forbidden":
        return f"option {name!r} is unknown{near_miss(name, list(Options.model_fields))}"
    hint = near_miss(str(items[0]["input"]), choices(name))
    reasons = " or ".join(dict.fromkeys(map(_reason, items)))
    return f"{long_flag(name)}: {items[0]['input']!r} is not allowed, it {reasons}{hint}"


def _reason(item: Any) -> str:
    """What pydantic asks of a value, in words that follow "it"."""
    pattern = item["type"] == "string_pattern_mismatch"
    own = str(item.get("ctx", {}).get("error", ""))
    text = "should have the form 1920x1080" if pattern else own or item["msg"].split(", unable")[0]
    return (
        text.removeprefix("Input ").replace("a valid integer", "a whole number").replace("a valid number", "a number")
    )


def choices(name: str) -> list[str]:
    """The literal values that field `name` allows."""

    def walk(kind: Any) -> list[str]:
        return [kind] if isinstance(kind, str) else [text for part in get_args(kind) for text in walk(part)]

    return walk(Options.model_fields[name].annotation)
