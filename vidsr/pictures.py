"""Picture files: one, or all of a folder, through an `Upscaler`. What `pipeline` is for films.

A file is read whole, upscaled, written beside its final name, read back, and only then given that name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from .errors import InputError, OutputError, StoppedError, UsageError, WeightsError, near_miss
from .events import Emit, Notice, Progress, Stage
from .faces.align import SIDE
from .faces.portrait import restored_portrait
from .faces.wanted import check_crops, crops_into
from .flow import Cancel, Flow
from .fs import Target
from .media.image_files.header import Quality
from .media.image_formats import FORMATS
from .media.images import Array, Opened, Picture, check_written, encoded, open_picture
from .media.light import coded, light
from .options import Options
from .prepare import check_names
from .upscaler import Alpha, Upscaler

Pair = tuple[Path, Path | None]
"""A picture, and its output: a file, a folder, or None for beside it."""

_ENDING = (StoppedError, WeightsError)
"""What fails for one picture and would for every other; all other errors are those of one picture."""


@dataclass(frozen=True)
class PictureReport:
    """The account of one picture. Sizes are in pixels, upright; `seconds` are those of all of it."""

    input: str
    output: str
    model: str
    device: str
    runtime: str
    precision: str
    from_size: tuple[int, int]
    """Width and height."""
    size: tuple[int, int]
    kind: str
    """Channels and samples of the output file."""
    seconds: float
    verified: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What is not as it was in the input."""
    exit_code: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


def is_picture(path: Path) -> bool:
    """Whether the name ends as that of a picture that vidsr reads."""
    return path.suffix.lower() in FORMATS


def upscale_picture(
    input: Path, output: Path | None, options: Options, emit: Emit, cancel: Cancel | None = None
) -> PictureReport:
    """Upscale one picture file. Nothing has the output's name before it is complete and was read back.

    Raises the errors of `vidsr.errors`.
    """
    flow = Flow(cancel)
    return flow.run(lambda: _Work(options, emit, flow.cancel.check).done(input, output), "pictures")


def describe(input: Path, output: Path | None, options: Options, emit: Emit) -> str:
    """What `upscale_picture` would do, as text, after every check that it makes before it decodes."""
    flow = Flow()
    return flow.run(lambda: _Work(options, emit, flow.cancel.check).described(input, output), "pictures")


def upscale_pictures(
    pairs: Sequence[Pair], options: Options, emit: Emit, cancel: Cancel | None = None
) -> list[PictureReport | Exception]:
    """Upscale every picture; what became of each, in order. An ExistsError stands for one that was done before.

    Raises what ends the run as a whole: weights that cannot be used, options that are wrong, a signal.
    """
    flow = Flow(cancel)
    return flow.run(lambda: _all(pairs, options, emit, flow.cancel.check), "pictures")


def _all(
    pairs: Sequence[Pair], options: Options, emit: Emit, check: Callable[[], None]
) -> list[PictureReport | Exception]:
    work, begun = _Work(options, emit, check), time.monotonic()
    claims = _claims(pairs, options, work.network().scale)
    outcomes: list[PictureReport | Exception] = []
    for input, output in pairs:
        check()
        outcomes.append(_outcome(work, input, output, claims))
        seconds = max(time.monotonic() - begun, 1e-6)
        emit(Progress(len(outcomes), len(pairs), 0.0, len(outcomes) / seconds))
    return outcomes


def _outcome(work: _Work, input: Path, output: Path | None, claims: dict[Path, Path]) -> PictureReport | Exception:
    try:
        path = output_path(input, output, work.options, work.network().scale)
        if claims[path] != input:
            raise OutputError(f"output {path} of {input} is that of {claims[path]} too", "leave out --ext or --suffix")
        return work.done(input, output)
    except _ENDING:
        raise
    except Exception as error:
        return error


def _claims(pairs: Sequence[Pair], options: Options, scale: int) -> dict[Path, Path]:
    """Each output with the first input that it belongs to: a.png and a.jpg may become the same a.webp."""
    claims: dict[Path, Path] = {}
    for input, output in pairs:
        claims.setdefault(output_path(input, output, options, scale), input)
    return claims


def output_path(input: Path, output: Path | None, options: Options, scale: int) -> Path:
    """The output's name: as given, or in the folder given, or beside the input. Raises UsageError for a format that
    is not written.
    """
    if output is None or output.is_dir():
        tail = options.suffix if options.suffix is not None else _tail(options, scale)
        ending = input.suffix if options.ext == "auto" else f".{options.ext}"
        output = (output or input.parent) / f"{input.stem}{f'_{tail}' if tail else ''}{ending}"
    if output.suffix.lower() not in FORMATS:
        allowed = sorted(FORMATS)
        what = f"output {output}: {output.suffix or 'no ending'} is not a picture format"
        raise UsageError(f"{what}{near_miss(output.suffix, allowed)}", f"allowed are {', '.join(allowed)}")
    return output


def _tail(options: Options, scale: int) -> str:
    """What is added to the name of a picture where nothing is given."""
    if options.aligned:
        return f"{Path(options.face_enhance or '').stem}_{SIDE}"
    shown = f"{options.height}p" if options.height else options.size or f"x{options.scale or scale:g}"
    return f"{Path(options.model).stem}_{shown}"


class _Work:
    """The networks, loaded when the first picture needs them, and what is done with one picture."""

    def __init__(self, options: Options, emit: Emit, check: Callable[[], None]) -> None:
        self.options, self.emit, self.check = options, emit, check
        self._networks: dict[str, Upscaler] = {}

    def network(self, deep: bool = False) -> Upscaler:
        """For pictures of more than 8 bit that in float32, unless another precision is asked for."""
        options = self.options
        able = options.precision == "auto" and options.runtime in ("auto", "eager", "layered", "compiled")
        precision = "fp32" if deep and able else options.precision
        if precision not in self._networks:
            self.emit(Stage("weights", options.model))
            self._networks[precision] = Upscaler(
                options.model,
                device=options.device,
                precision=precision,
                tile=options.tile,
                tile_pad=options.tile_pad,
                batch=options.batch,
                denoise=options.denoise,
                blend=options.blend,
                runtime=options.runtime,
                passes=options.passes,
                prescale=options.prescale,
                face_enhance=options.face_enhance,
                face_weight=options.face_weight,
                face_detector=options.face_detector,
                only_center_face=options.only_center_face,
                emit=self.emit,
                check=self.check,
            )
        return self._networks[precision]

    def described(self, input: Path, output: Path | None) -> str:
        """The plan for one picture, for people."""
        opened, network, path, size = self._planned(input, output)
        header = opened.header
        lines = [
            f"input    {input}  {'x'.join(map(str, opened.size))} {opened.format.name}, {header.depth} bit",
            f"network  {network.network.name}, x{network.scale}",
            f"output   {path}  {'x'.join(map(str, size))} {FORMATS[path.suffix.lower()].name}",
            *(f"note     {note}" for note in header.notes),
        ]
        return "\n".join(lines)

    def _planned(self, input: Path, output: Path | None) -> tuple[Opened, Upscaler, Path, tuple[int, int]]:
        """Every check that needs no pixels, the cheapest first."""
        options = self.options
        if output is not None and not output.is_dir():
            check_names(input, output_path(input, output, options, 0), options)
        self.emit(Stage("open", str(input)))
        opened = open_picture(input, options.max_pixels)
        network = self.network(opened.header.depth > 8)
        path = output_path(input, output, options, network.scale)
        check_names(input, path, options)
        if options.face_restored_crops is not None:
            check_crops(options.face_restored_crops, input.stem, options.overwrite)
        return opened, network, path, self._size(opened, network)

    def done(self, input: Path, output: Path | None) -> PictureReport:
        """One picture, from file to file."""
        begun = time.monotonic()
        opened, network, path, size = self._planned(input, output)
        picture = opened.picture()
        self._tell(input, picture.notes)
        self.emit(Stage("upscale", str(path)))
        larger = replace(picture, pixels=self._upscaled(input, picture, network, size))
        verified, notes = self._written(path, larger)
        self._tell(path, notes, "warning")
        self.emit(Stage("done", str(path)))
        return PictureReport(
            str(input),
            str(path),
            network.network.name,
            str(network.device),
            network.runner.name,
            network.runner.precision,
            (picture.width, picture.height),
            size,
            _kind(larger.pixels),
            round(time.monotonic() - begun, 4),
            verified,
            (*picture.notes, *notes),
        )

    def _size(self, opened: Opened, network: Upscaler) -> tuple[int, int]:
        """Final (width, height). Raises InputError for more pixels than are allowed."""
        options, (width, height), size = self.options, opened.size, None
        if options.aligned:
            return SIDE, SIDE
        if options.size:
            across, down = map(int, options.size.split("x"))
            size = across, down
        elif options.height:
            size = max(1, round(width * options.height / height)), options.height
        final = network.sizes(width, height, options.scale, size=size).final
        if final[0] * final[1] > options.max_pixels:
            what = f"picture {opened.path} as {final[0]}x{final[1]} exceeds the limit of {options.max_pixels} pixels"
            raise InputError(what, "a smaller --scale needs fewer, --max-pixels allows more")
        return final

    def _upscaled(self, input: Path, picture: Picture, network: Upscaler, size: tuple[int, int]) -> Array:
        """Codes as they are; linear light as codes, with what is brighter than white brought into their range."""
        pixels, enhance = picture.pixels, self._enhance(input, network, size)
        if pixels.dtype.kind == "u":
            return enhance(pixels)
        colours, rest = np.split(np.atleast_3d(pixels), [1 if pixels.ndim == 2 else 3], axis=2)
        codes = coded(colours)
        peak = max(1.0, float(codes.max()))
        if peak > 1:
            self._tell(input, (f"light up to {float(colours.max()):.4g} is brought into the network's range and back",))
        if float(colours.min()) < 0:
            self._tell(input, ("negative light becomes none",), "warning")
        result = enhance(np.dstack([codes / np.float32(peak), rest]).clip(0, 1))
        count = colours.shape[2]
        whole = np.dstack([light(result[..., :count] * np.float32(peak)), result[..., count:]])
        return whole[..., 0] if pixels.ndim == 2 else whole

    def _enhance(self, input: Path, network: Upscaler, size: tuple[int, int]) -> Callable[[Array], Array]:
        """What is done with the pixels: they are enlarged, with their faces restored, or are a face themselves."""
        options, faces = self.options, network.faces
        if faces is not None and options.face_restored_crops is not None:
            faces.keep = crops_into(options.face_restored_crops, input.stem, options.overwrite)
        if faces is not None and options.aligned:
            return partial(restored_portrait, faces=faces, keep_alpha=options.alpha == "keep")
        alpha: Alpha = "drop" if options.alpha == "drop" else options.alpha_upsampler
        return partial(network.enhance, size=size, alpha=alpha)

    def _written(self, path: Path, picture: Picture) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What was compared with the file after it was written, and what of the picture it does not hold."""
        kind, options = FORMATS[path.suffix.lower()], self.options
        given = options.quality
        quality = Quality() if given is None else Quality(given, given, given)
        sent = encoded(picture, kind, quality)
        with Target(path, overwrite=options.overwrite) as target:
            try:
                target.path.write_bytes(sent.data)
            except OSError as error:
                raise OutputError(f"output {path}: {(error.strerror or str(error)).lower()}") from error
            verified: tuple[str, ...] = ()
            if options.verify and not target.direct:
                verified = check_written(target.path, sent)
            self.check()
            target.commit()
        return verified, sent.notes

    def _tell(self, path: Path, notes: tuple[str, ...], level: str = "info") -> None:
        for note in notes:
            self.emit(Notice(f"{path.name}: {note}", "warning" if level == "warning" else "info"))


def _kind(pixels: Array) -> str:
    names = {1: "gray", 2: "gray, alpha", 3: "RGB", 4: "RGB, alpha"}
    samples = "float" if pixels.dtype.kind == "f" else f"{pixels.itemsize * 8} bit"
    return f"{names[pixels.shape[2] if pixels.ndim == 3 else 1]}, {samples}"
